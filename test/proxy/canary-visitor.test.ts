import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { withoutOwnCookies } from '../../proxy/canary/cookies.ts'
import { signOverride } from '../../proxy/canary/override.ts'
import type { CanaryRoute } from '../../proxy/canary/route.ts'
import { isMarkedPublic, readVisit, setVisit } from '../../proxy/canary/visit-cookie.ts'
import { newMemo, Visitor, type Assignment } from '../../proxy/canary/visitor.ts'

const secret = 'a'.repeat(64)

function route(overrides: Partial<CanaryRoute> = {}): CanaryRoute {
  return {
    target: { release: 'shop/v2', host: '127.0.0.1', port: 1002, healthy: true }, share: 0.5, phase: 1, salt: 'salt', secret, key: null, sticky: 'cookie',
    names: { canary: ['v2', '2026-11'], stable: ['v1'] }, allow: [], slowMs: null, timedFromMs: 0, ...overrides,
  }
}

function ask(canary: CanaryRoute, rawHeaders: readonly string[] = [], clientAddress = '203.0.113.7'): Assignment | { readonly refused: string } {
  return new Visitor({ rawHeaders, clientAddress, isTelling: true, memo: newMemo(), isPlain: true }).assign(canary)
}

function assigned(...args: Parameters<typeof ask>): Assignment {
  const found = ask(...args)
  if ('refused' in found) throw new Error(found.refused)
  return found
}

const cookieText = (visit: string): string => (setVisit(secret, visit, false).split(';')[0] as string)

describe('a visitor of a canary', () => {
  it('keeps its arm by the operator\'s header, and is never sent back while the share rises', () => {
    fc.assert(fc.property(fc.string({ minLength: 1 }), fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 2, maxLength: 8 }), (user, shares) => {
      const key = { from: 'header', name: 'x-user' } as const
      const arms = [...shares].sort((a, b) => a - b).map((share) => assigned(route({ share, key }), ['X-User', user]).arm)
      expect(arms.lastIndexOf('stable')).toBeLessThan(arms.includes('canary') ? arms.indexOf('canary') : Infinity)
    }))
  })

  it('is told its visit once, and is the same one when it comes back with it', () => {
    const first = assigned(route())
    expect(first.newVisit).toMatch(/^[A-Za-z0-9_-]{22}$/)
    const back = assigned(route(), ['Cookie', `theme=dark; ${cookieText(first.newVisit as string)}`])
    expect(back).toMatchObject({ arm: first.arm, unit: first.unit, newVisit: null })
  })

  it('is drawn anew where its cookie was not signed by this gracer', () => {
    const forged = assigned(route(), ['Cookie', `gracer-visit=${'A'.repeat(22)}.${'B'.repeat(22)}`])
    expect(forged.newVisit).not.toBeNull()
    const elsewhere = assigned(route({ secret: 'b'.repeat(64) }), ['Cookie', cookieText('A'.repeat(22))])
    expect(elsewhere.newVisit).not.toBeNull()
  })

  it('falls back on the cookie where the operator\'s key is not there', () => {
    const key = { from: 'cookie', name: 'session' } as const
    expect(assigned(route({ key }), ['Cookie', 'session=42']).newVisit).toBeNull()
    expect(assigned(route({ key }), ['Cookie', 'session=42'])).toMatchObject(assigned(route({ key }), ['Cookie', 'other=1; session=42']))
    expect(assigned(route({ key }), ['Cookie', 'session=']).newVisit).not.toBeNull()
  })

  it('is told by its address, or drawn for each request, where the config says so', () => {
    const byAddress = Array.from({ length: 20 }, () => assigned(route({ sticky: 'address' })).unit)
    expect(new Set(byAddress).size).toBe(1)
    const arms = Array.from({ length: 200 }, () => assigned(route({ sticky: 'none' })))
    expect(arms.every(({ unit, newVisit }) => unit === null && newVisit === null)).toBe(true)
    expect(new Set(arms.map(({ arm }) => arm)).size).toBe(2)
  })

  it('is the same within one request, however often it is picked, and also when the share has risen meanwhile', () => {
    const visitor = new Visitor({ rawHeaders: [], clientAddress: '', isTelling: false, memo: newMemo(), isPlain: true })
    const first = visitor.assign(route({ share: 0.3 })) as Assignment
    const again = visitor.assign(route({ share: 0.3, phase: 2 })) as Assignment
    expect([again.arm, again.unit, again.newVisit]).toEqual([first.arm, first.unit, first.newVisit])
    expect((visitor.assign(route({ share: 1, phase: 3 })) as Assignment).arm).toBe('canary')
  })

  it('goes to no canary at 0%, and to 0.01% of one in its share', () => {
    const key = { from: 'header', name: 'x-user' } as const
    const arms = Array.from({ length: 100_000 }, (_, user) => assigned(route({ share: user < 1_000 ? 0 : 0.0001, key }), ['x-user', `u${user}`]).arm)
    expect(arms.slice(0, 1_000)).not.toContain('canary')
    const drawn = arms.slice(1_000).filter((arm) => arm === 'canary').length
    // 9.9 expected; 0 or more than 30 have a chance of less than 1 in 10,000 for a fair draw, and this one is fixed.
    expect(drawn).toBeGreaterThan(0)
    expect(drawn).toBeLessThan(30)
  })
})

describe('a tester\'s override', () => {
  const soon = Math.floor(Date.now() / 1000) + 60

  it('counts when it is signed, by header and by cookie, at 0% too, and is kept out of the evidence', () => {
    const zero = route({ share: 0 })
    for (const wish of ['canary', 'v2', '2026-11']) {
      expect(assigned(zero, ['gracer-release', signOverride(secret, wish, soon)])).toMatchObject({ arm: 'canary', forced: true, unit: null, newVisit: null })
      expect(assigned(zero, ['Cookie', `gracer-release=${signOverride(secret, wish, soon)}`]).arm).toBe('canary')
    }
    expect(assigned(route({ share: 1 }), ['Gracer-Release', signOverride(secret, 'v1', soon)])).toMatchObject({ arm: 'stable', forced: true })
  })

  it('is refused where a header claims a signature that is false or over', () => {
    const signed = signOverride(secret, 'canary', soon)
    expect(ask(route(), ['gracer-release', signed.replace('canary', 'stable')])).toEqual({ refused: 'The signature in gracer-release is not valid.' })
    for (const slip of [signed.slice(0, -1), `${signed}x`, signed.slice(0, -22)]) expect(ask(route({ allow: ['10.0.0.0/8'] }), ['gracer-release', slip]), slip).toHaveProperty('refused')
    expect(ask(route(), ['gracer-release', signOverride('b'.repeat(64), 'canary', soon)])).toHaveProperty('refused')
    expect(ask(route(), ['gracer-release', signOverride(secret, 'canary', 1)])).toEqual({ refused: 'The signature in gracer-release is over.' })
    // A cookie that is over must lock nobody out.
    expect(assigned(route(), ['Cookie', `gracer-release=${signOverride(secret, 'canary', 1)}`]).forced).toBe(false)
  })

  it('is nothing without a signature, but from the networks that need none', () => {
    expect(assigned(route({ share: 0 }), ['gracer-release', 'canary'])).toMatchObject({ arm: 'stable', forced: false })
    const allow = ['10.0.0.0/8', '2001:db8::/32', '192.0.2.1']
    for (const address of ['10.1.2.3', '2001:db8::5', '192.0.2.1']) expect(assigned(route({ share: 0, allow }), ['gracer-release', 'canary'], address).arm, address).toBe('canary')
    for (const address of ['11.1.2.3', '2001:db9::5', '192.0.2.2', 'unknown']) expect(assigned(route({ share: 0, allow }), ['gracer-release', 'canary'], address).arm, address).toBe('stable')
    expect(assigned(route({ share: 0, allow }), ['gracer-release', 'v77'], '10.1.2.3').forced).toBe(false)
  })
})

describe('the cookie of a visit', () => {
  it('is HttpOnly, Lax, and Secure where the client came by TLS', () => {
    expect(setVisit(secret, 'A'.repeat(22), false)).toMatch(/^gracer-visit=A{22}\.[\w-]{22}; Path=\/; Max-Age=\d+; HttpOnly; SameSite=Lax$/)
    expect(setVisit(secret, 'A'.repeat(22), true)).toMatch(/; Secure$/)
    expect(readVisit(secret, cookieText('A'.repeat(22)).slice('gracer-visit='.length))).toBe('A'.repeat(22))
  })

  it('is not for a reply that a cache may keep for all', () => {
    for (const fields of [['Cache-Control', 'public'], ['cache-control', 'max-age=60'], ['Cache-Control', 'no-transform, s-maxage=10'], ['CDN-Cache-Control', 'max-age=5'], ['Expires', 'Fri, 01 Jan 2100 00:00:00 GMT']]) {
      expect(isMarkedPublic(fields), fields.join()).toBe(true)
    }
    for (const fields of [[], ['Cache-Control', 'private, max-age=60'], ['Cache-Control', 'no-store'], ['Cache-Control', 'max-age=0'], ['Expires', '0']]) {
      expect(isMarkedPublic(fields), fields.join()).toBe(false)
    }
  })

  it('does not go on to the upstream, and takes nothing else with it', () => {
    expect(withoutOwnCookies('a=1; gracer-visit=x.y; b=2; gracer-release=canary')).toBe('a=1; b=2')
    expect(withoutOwnCookies('gracer-visit=x')).toBe('')
    for (const kept of ['a=1;b=2', 'my-gracer-visit=1', 'gracer-visits=1; x="gracer-visit=2"', 'a=gracer-visit']) expect(withoutOwnCookies(kept)).toBe(kept)
  })
})
