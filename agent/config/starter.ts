/** What `gracer init` found in a folder, and where. */
export interface Findings {
  readonly command: { readonly words: readonly string[]; readonly from: string } | null
  readonly health: { readonly path: string; readonly from: string } | null
  readonly envFile: boolean
  readonly releases: boolean
}

/**
 * Pure: a first gracer.json, commented. What was found stands there; everything else as a comment with its default, so
 * that the file says what there is without deciding anything.
 */
export function starterConfig(found: Findings): string {
  const command = found.command === null
    ? ['// What starts the app. Nothing was found that says so: put it in and take the slashes away.', '// "command": ["node", "server.js"],']
    : [`// What starts the app, in each build's own folder. From ${found.command.from}.`, `"command": ${JSON.stringify(found.command.words)},`]
  const health = found.health === null
    ? ['// Without a path any answer below 500 to GET / is healthy. A path that looks at the database too is better.', '// "health": { "path": "/healthz" },']
    : [`// A new build gets no request before this answers 200-299 twice. From ${found.health.from}.`, `"health": { "path": ${JSON.stringify(found.health.path)} },`]
  const lines = [
    '// gracer.json: every key is optional. "gracer check" shows them all, with the values they have.',
    '{',
    '  "$schema": "./node_modules/gracer/docs/gracer.schema.json",',
    '',
    '  // The public address. ":80" is port 80 on every IPv4 address.',
    '  "listen": "127.0.0.1:8080",',
    '',
    ...command.map((line) => `  ${line}`),
    '',
    ...health.map((line) => `  ${line}`),
    '',
    '  // A folder that builds are dropped into: each entry is one. Without it `gracer swap` deploys this folder, or the one named.',
    found.releases ? '  "releases": "./releases",' : '  // "releases": "./releases",',
    '',
    '  // KEY=value lines for the app.',
    found.envFile ? '  "envFile": ".env",' : '  // "envFile": ".env",',
    '',
    '  // Behind nginx, a load balancer or another proxy of yours, so that its X-Forwarded-* are believed:',
    '  // "trustProxy": true,',
    '',
    '  // How long the old build stays as a way back after the traffic has moved.',
    '  "bake": "20s"',
    '}',
    '',
  ]
  return lines.join('\n')
}

/** The words of a Procfile's web process; null where it has none. */
export function procfileCommand(text: string): readonly string[] | null {
  const line = /^web:\s*(.+?)\s*$/m.exec(text)?.[1]
  return line === undefined ? null : shellWords(line)
}

/** The words that a Dockerfile's image runs: its last ENTRYPOINT, less an init, and CMD; null where it says nothing that can be read. */
export function dockerfileCommand(text: string): readonly string[] | null {
  const joined = text.replace(/\\\r?\n/g, ' ')
  const entry = lastWords(joined, 'ENTRYPOINT')
  const command = lastWords(joined, 'CMD')
  if (entry === 'none') return command === 'none' ? null : command
  // A shell form takes no CMD.
  if (entry === null || command === null) return null
  const own = entry.filter((word, at) => !(at === 0 && inits.test(word)) && !(word === '--' && inits.test(entry[0] ?? '')))
  const words = [...own, ...(command === 'none' || own[0] === 'sh' ? [] : command)]
  return words.length === 0 ? null : words
}

/** What runs in front of the app in a container, and is of no use outside of one. */
const inits = /(?:^|\/)(?:tini|dumb-init|docker-entrypoint\.sh)$/

/** null: it stands there and cannot be read. */
function lastWords(text: string, instruction: string): readonly string[] | 'none' | null {
  const last = [...text.matchAll(new RegExp(`^\\s*${instruction}\\s+(.+?)\\s*$`, 'gim'))].at(-1)?.[1]
  if (last === undefined) return 'none'
  if (!last.startsWith('[')) return shellWords(last)
  try {
    const words: unknown = JSON.parse(last)
    return Array.isArray(words) && words.every((word) => typeof word === 'string') ? words : null
  } catch {
    return null
  }
}

/** The path that a Dockerfile's HEALTHCHECK asks for; null where it asks for none. */
export function dockerfileHealth(text: string): string | null {
  const line = /^\s*HEALTHCHECK\s(.+)$/im.exec(text.replace(/\\\r?\n/g, ' '))?.[1]
  return line === undefined ? null : (/https?:\/\/[^/\s'"]+(\/[^\s'"|;)]*)/.exec(line)?.[1] ?? null)
}

/** The first of the usual health paths that a program's text names as a string; null where it names none. */
export function namedHealthPath(text: string): string | null {
  return /['"`](\/(?:healthz|health|livez|readyz|up|api\/health|_health))['"`]/.exec(text)?.[1] ?? null
}

/** Plain words are split; what needs a shell gets one, which becomes the program where it can. */
function shellWords(line: string): readonly string[] {
  return /^[\w./=@:,+ -]+$/.test(line) && !/^\w+=/.test(line) ? line.split(/ +/) : ['sh', '-c', /[;&|]|^exec /.test(line) ? line : `exec ${line}`]
}
