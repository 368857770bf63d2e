import { cookieOf, fieldOf } from './cookies.ts'
import { overrideName, readOverride } from './override.ts'
import type { CanaryKey, CanaryRoute } from './route.ts'
import type { ShadowRequest } from './shadow.ts'
import { armOf, draw, type Arm, type Draw } from './split.ts'
import { newVisit, readVisit, visitCookie } from './visit-cookie.ts'

/** What of a request decides where it goes. */
export interface Asker {
  readonly rawHeaders: readonly string[]
  /** Of the client, as far as the proxies in front are trusted. */
  readonly clientAddress: string
  /** It tells clients apart: it is not that of a front end, nor of this machine. */
  readonly isTelling: boolean
  /** Kept as long as the client's connection. */
  readonly memo: VisitorMemo
  /** GET or HEAD without a body: how long its reply takes is the release's doing alone. */
  readonly isPlain: boolean
}

/** Who can say who asks. Only a canary wants to know. */
export interface HasVisitor {
  visitor(): Visitor
  /** The number of the user who asks; absent: it is not counted as one. */
  userNumber?(key: CanaryKey | null): number
  /** What a copy of the request is made of; null: it is not to be copied. Absent: none is. */
  copy?(): ShadowRequest | null
}

/** The last visitor of a connection: the HMAC is done once for each connection and key, not once a request. */
export interface VisitorMemo {
  salt: string
  written: string
  draw: Draw | null
  /** The user by the address of the connection; null: not asked for yet. */
  user: number | null
}

export function newMemo(): VisitorMemo {
  return { salt: '', written: '', draw: null, user: null }
}

/** Which arm a request was given, and what the verdict must know of that. */
export interface Assignment {
  readonly canary: CanaryRoute
  readonly arm: Arm
  /** The visitor's name; null: each request is one of its own. */
  readonly unit: string | null
  /** The client's; null where it tells nobody apart. */
  readonly address: string | null
  /** A tester chose it: it is in no figures and no evidence. */
  readonly forced: boolean
  /** A new visit, which the reply is to tell the client; null: it has a key. */
  readonly newVisit: string | null
  readonly isPlain: boolean
}

/**
 * One request as the split sees it. The draw of a request without a key is made once, so that a request which is
 * picked again is the same visitor.
 */
export class Visitor {
  readonly #asker: Asker
  #last: Assignment | null = null
  #fresh: { readonly salt: string; readonly visit: string; readonly draw: Draw } | null = null

  /** The release of its arm took no connection from it, or gave it no answer: what serves it now says nothing of its arm. */
  hasFailed = false

  constructor(asker: Asker) {
    this.#asker = asker
  }

  /** What it was given last; null: nothing yet. */
  get last(): Assignment | null {
    return this.#last
  }

  /** The arm by this route, the same whenever it is asked; or why the request is refused (400). */
  assign(canary: CanaryRoute): Assignment | { readonly refused: string } {
    if (this.#last?.canary === canary) return this.#last
    const { rawHeaders, clientAddress } = this.#asker
    const header = fieldOf(rawHeaders, overrideName)
    const cookie = cookieOf(rawHeaders, overrideName)
    if (header !== null || cookie !== null) {
      const override = readOverride(canary, header, cookie, clientAddress, Date.now() / 1000)
      if (override.kind === 'bad') return { refused: override.reason }
      if (override.kind === 'arm') return this.#made(canary, override.arm, null, true, null)
    }
    const known = this.#known(canary)
    if (known !== null) return this.#made(canary, armOf(known.bucket, canary.share), known.unit, false, null)
    if (this.#fresh?.salt !== canary.salt) {
      const visit = this.#fresh?.visit ?? newVisit()
      this.#fresh = { salt: canary.salt, visit, draw: draw(canary.salt, `c:${visit}`) }
    }
    const { visit, draw: drawn } = this.#fresh
    const arm = armOf(drawn.bucket, canary.share)
    return canary.sticky === 'cookie' ? this.#made(canary, arm, drawn.unit, false, visit) : this.#made(canary, arm, null, false, null)
  }

  #made(canary: CanaryRoute, arm: Arm, unit: string | null, forced: boolean, visit: string | null): Assignment {
    const { clientAddress, isTelling, isPlain } = this.#asker
    this.#last = { canary, arm, unit, address: isTelling ? clientAddress : null, forced, newVisit: visit, isPlain }
    return this.#last
  }

  /** By the operator's key, else by what the route says of those without one; null: neither is there. */
  #known(canary: CanaryRoute): Draw | null {
    const { rawHeaders, clientAddress } = this.#asker
    if (canary.key !== null) {
      const value = valueOf(canary.key, rawHeaders)
      if (value !== null) return this.#remembered(canary, `k:${value}`)
    }
    if (canary.sticky === 'address') return this.#remembered(canary, `a:${clientAddress}`)
    if (canary.sticky === 'none') return null
    const cookie = cookieOf(rawHeaders, visitCookie)
    return cookie === null ? null : this.#remembered(canary, `c:${cookie}`)
  }

  #remembered(canary: CanaryRoute, written: string): Draw | null {
    const { memo } = this.#asker
    if (memo.written === written && memo.salt === canary.salt) return memo.draw
    let key: string | null = written
    if (written.startsWith('c:')) {
      const visit = readVisit(canary.secret, written.slice(2))
      key = visit === null ? null : `c:${visit}`
    }
    memo.salt = canary.salt
    memo.written = written
    memo.draw = key === null ? null : draw(canary.salt, key)
    return memo.draw
  }
}

/** What the operator's key says of who asks; null: it is not there, or empty. */
export function valueOf(key: CanaryKey, rawHeaders: readonly string[]): string | null {
  const value = key.from === 'header' ? fieldOf(rawHeaders, key.name) : cookieOf(rawHeaders, key.name)
  return value === '' ? null : value
}
