import { randomBytes } from 'node:crypto'
import { isSigned, sign } from './signature.ts'

/** gracer's own cookie: a random number, signed, that says nothing about its visitor. */
export const visitCookie = 'gracer-visit'

const purpose = 'visit'
/** A visitor who comes back within this keeps its arm. */
const maxAgeSeconds = 30 * 24 * 3_600
const written = /^([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{22})$/

/** 128 random bits, in base64url. */
export function newVisit(): string {
  return randomBytes(16).toString('base64url')
}

/** The visit that a cookie names; null where gracer has not signed it. */
export function readVisit(secret: string, value: string): string | null {
  const parts = written.exec(value)
  if (parts === null) return null
  const [, visit = '', signature = ''] = parts
  return isSigned(secret, purpose, visit, signature) ? visit : null
}

/** The Set-Cookie field for a visit. `secure`: the client's own connection is TLS. */
export function setVisit(secret: string, visit: string, secure: boolean): string {
  return `${visitCookie}=${visit}.${sign(secret, purpose, visit)}; Path=/; Max-Age=${maxAgeSeconds}; HttpOnly; SameSite=Lax${secure ? '; Secure' : ''}`
}

/**
 * May a cache that serves many keep this reply (RFC 9111 5.2.2, 5.3)? Then it must not carry the cookie of one.
 * What is marked neither way counts as private: a reply that sets a cookie is not worth caching for all.
 */
export function isMarkedPublic(fields: readonly string[]): boolean {
  let isPublic = false
  for (let at = 0; at < fields.length; at += 2) {
    const name = (fields[at] as string).toLowerCase()
    const value = (fields[at + 1] as string).toLowerCase()
    if (name === 'cache-control') {
      if (/(?:^|[,\s])(?:private|no-store|no-cache)(?:$|[,\s=])/.test(value)) return false
      if (/(?:^|[,\s])(?:public(?:$|[,\s])|s-maxage\s*=|max-age\s*=\s*"?0*[1-9])/.test(value)) isPublic = true
    } else if (name === 'surrogate-control' || name === 'cdn-cache-control') isPublic = true
    else if (name === 'expires' && Date.parse(fields[at + 1] as string) > Date.now()) isPublic = true
  }
  return isPublic
}
