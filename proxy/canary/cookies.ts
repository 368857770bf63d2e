/** gracer's own cookies are read here and go no further: see visit-cookie.ts and override.ts. */
const own = /^\s*gracer-(?:visit|release)\s*=/

/** The value of the first cookie of this name in the request's Cookie fields; null: there is none. */
export function cookieOf(rawHeaders: readonly string[], name: string): string | null {
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const field = rawHeaders[at] as string
    if (field.length !== 6 || field.toLowerCase() !== 'cookie') continue
    for (const pair of (rawHeaders[at + 1] as string).split(';')) {
      const equals = pair.indexOf('=')
      if (equals !== -1 && pair.slice(0, equals).trim() === name) return pair.slice(equals + 1).trim()
    }
  }
  return null
}

/** The value of the first field of this name, which is in lower case; null: there is none. */
export function fieldOf(rawHeaders: readonly string[], name: string): string | null {
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const field = rawHeaders[at] as string
    if (field.length === name.length && field.toLowerCase() === name) return rawHeaders[at + 1] as string
  }
  return null
}

/** A Cookie field without gracer's own cookies; '' where nothing is left. The field as it came where there are none. */
export function withoutOwnCookies(value: string): string {
  if (!value.includes('gracer-')) return value
  const pairs = value.split(';')
  const kept = pairs.filter((pair) => !own.test(pair))
  return kept.length === pairs.length ? value : kept.join(';').trim()
}
