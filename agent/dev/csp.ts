export type ScriptLeave =
  /** `nonce`: to be put on the script; null: none is needed. */
  | { readonly kind: 'allowed'; readonly nonce: string | null }
  | { readonly kind: 'forbidden'; readonly directive: string }

/**
 * Whether a page with these Content-Security-Policy fields lets a script of its own origin load and open an event stream
 * there. Never changes the policy; where it takes a nonce, that is used (CSP Level 3, 6.7.1).
 */
export function scriptLeave(policies: readonly string[]): ScriptLeave {
  let nonce: string | null = null
  for (const policy of policies.flatMap((value) => value.split(','))) {
    const directives = parse(policy)
    const sandbox = directives.get('sandbox')
    if (sandbox !== undefined && !(sandbox.includes('allow-scripts') && sandbox.includes('allow-same-origin'))) return { kind: 'forbidden', directive: 'sandbox' }
    const [scriptName, scripts] = firstOf(directives, ['script-src-elem', 'script-src', 'default-src'])
    if (scripts !== null) {
      const own = scripts.map((source) => /^'nonce-([A-Za-z0-9+/_=-]+)'$/i.exec(source)?.[1]).find((one) => one !== undefined) ?? null
      const strict = scripts.some((source) => source.toLowerCase() === "'strict-dynamic'")
      if (own !== null && (nonce === null || nonce === own)) nonce = own
      else if (strict || !allowsSelf(scripts)) return { kind: 'forbidden', directive: scriptName }
    }
    const [connectName, connects] = firstOf(directives, ['connect-src', 'default-src'])
    if (connects !== null && !allowsSelf(connects)) return { kind: 'forbidden', directive: connectName }
  }
  return { kind: 'allowed', nonce }
}

function parse(policy: string): Map<string, string[]> {
  const directives = new Map<string, string[]>()
  for (const part of policy.split(';')) {
    const [name, ...values] = part.trim().split(/\s+/)
    // The first of a name counts (CSP Level 3, 2.2.1).
    if (name !== undefined && name !== '' && !directives.has(name.toLowerCase())) directives.set(name.toLowerCase(), values)
  }
  return directives
}

function firstOf(directives: Map<string, string[]>, names: readonly string[]): [string, string[] | null] {
  for (const name of names) {
    const values = directives.get(name)
    if (values !== undefined) return [name, values]
  }
  return ['', null]
}

function allowsSelf(sources: readonly string[]): boolean {
  return sources.some((source) => ["'self'", '*', 'http:'].includes(source.toLowerCase()))
}
