/** What a name in the releases folder means, before anything is known about the thing that bears it. */
export type NameVerdict =
  | { readonly kind: 'drop' }
  /** The Capistrano way: a symlink of this name says what is live. */
  | { readonly kind: 'current' }
  /** `NAME.ready` vouches for NAME. */
  | { readonly kind: 'marker'; readonly of: string }
  /** Something under way or beside a drop: says nothing, and is remembered by its inode. */
  | { readonly kind: 'ignored' }
  /** `NAME.sha256` says what NAME has to be, and is no drop itself. */
  | { readonly kind: 'checksum'; readonly of: string }
  | { readonly kind: 'refused'; readonly reason: string }

/** The ending of the file beside a build that says its SHA-256. */
export const checksumEnding = '.sha256'

const allowed = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
const asides = ['.tmp', '.part']

/** Whether `name` may be the name of a release: `^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$` (design, section 5). */
export function nameAllowed(name: string): boolean {
  return allowed.test(name)
}

export function judgeName(name: string): NameVerdict {
  if (name.startsWith('.') || asides.some((ending) => name.endsWith(ending))) return { kind: 'ignored' }
  if (name.endsWith('.ready')) {
    const of = name.slice(0, -'.ready'.length)
    return nameAllowed(of) ? { kind: 'marker', of } : { kind: 'ignored' }
  }
  if (name.endsWith(checksumEnding)) {
    const of = name.slice(0, -checksumEnding.length)
    return nameAllowed(of) ? { kind: 'checksum', of } : { kind: 'ignored' }
  }
  if (name === 'current') return { kind: 'current' }
  if (nameAllowed(name)) return { kind: 'drop' }
  return { kind: 'refused', reason: whyRefused(name) }
}

/**
 * Whether a change of what bears the name may say something, its coming and going aside: a marker may be touched anew, a
 * checksum written over.
 * A log that is written in the folder must not have it read two hundred times a second.
 */
export function changeMatters(name: string): boolean {
  const { kind } = judgeName(name)
  return kind === 'marker' || kind === 'checksum'
}

/**
 * Whether something was heard of the name, or of what speaks for it: what a marker or a checksum is believed about has to be
 * as it is now, since a file may have been written over.
 */
export function hintedAt(hinted: ReadonlyMap<string, unknown>, name: string): boolean {
  return hinted.has(name) || hinted.has(`${name}.ready`) || hinted.has(`${name}${checksumEnding}`)
}

/** Why `name` is not allowed, as the rest of the sentence "the name … ". For names that are allowed the answer means nothing. */
export function whyRefused(name: string): string {
  if (name === '') return 'is empty'
  if (name.length > 64) return `has ${name.length} characters, and 64 are the most`
  if (!/^[A-Za-z0-9]/.test(name)) return 'does not begin with a letter or a digit'
  return 'holds a character other than letters, digits, dot, underscore and hyphen'
}

/**
 * `name` in quotes and in printable ASCII, at most about 100 characters, so that a hostile name can neither move the
 * cursor of a terminal nor break a line of a log nor look like another name.
 */
export function escapeName(name: string): string {
  const cut = name.length > 80 ? name.slice(0, 80) : name
  const quoted = JSON.stringify(cut).replace(/[\u007f-\uffff]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
  return cut === name ? quoted : `${quoted}… (${name.length} characters)`
}
