/** Which variables belong to one process alone and must not reach its children. */
const ownNames = /^(GRACER_|LISTEN_)|^NOTIFY_SOCKET$/
/** What `npm start` adds: some thirty variables that would make one release's environment depend on how gracer was started. */
const npmNames = /^npm_/i

/**
 * The environment of a child: `base` (as a rule process.env) less GRACER_*, LISTEN_*, NOTIFY_SOCKET and npm_*, then
 * `extra` over it. An undefined value in `extra` removes the name. NODE_OPTIONS stays.
 */
export function childEnvironment(
  base: Readonly<Record<string, string | undefined>>,
  extra: Readonly<Record<string, string | undefined>> = {},
): Record<string, string> {
  const merged = new Map<string, string>()
  for (const [name, value] of Object.entries(base)) {
    if (value !== undefined && !ownNames.test(name) && !npmNames.test(name)) merged.set(name, value)
  }
  for (const [name, value] of Object.entries(extra)) {
    if (value === undefined) merged.delete(name)
    else merged.set(name, value)
  }
  return Object.fromEntries(merged)
}
