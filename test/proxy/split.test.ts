import { execFileSync } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { armOf, draw, newSalt } from '../../proxy/canary/split.ts'
import { root } from '../support/gracer-process.ts'
import { binomialLimits } from '../support/binomial.ts'

const keys = 100_000

function countBelow(salt: string, shares: readonly number[]): number[] {
  const counts = shares.map(() => 0)
  for (let key = 0; key < keys; key += 1) {
    const { bucket } = draw(salt, `user-${key}`)
    for (const [index, share] of shares.entries()) if (armOf(bucket, share) === 'canary') counts[index] = (counts[index] ?? 0) + 1
  }
  return counts
}

describe('the split', () => {
  it('sends 0.01, 1, 10 and 50% of 100,000 keys to the canary, within the exact binomial limits', () => {
    const shares = [0.0001, 0.01, 0.1, 0.5]
    const counts = countBelow('salt of release v43', shares)
    for (const [index, share] of shares.entries()) {
      const { low, high } = binomialLimits(keys, share, 1e-6)
      expect(counts[index]).toBeGreaterThanOrEqual(low)
      expect(counts[index]).toBeLessThanOrEqual(high)
    }
  })

  it('never moves a key back while the share rises', () => {
    fc.assert(fc.property(fc.string(), fc.string(), fc.array(fc.integer({ min: 0, max: 10_000 }), { minLength: 2, maxLength: 20 }), (salt, key, grains) => {
      const rising = grains.map((one) => one / 10_000).sort((a, b) => a - b)
      const { bucket } = draw(salt, key)
      const arms = rising.map((share) => armOf(bucket, share))
      expect(arms.lastIndexOf('stable')).toBeLessThan(arms.includes('canary') ? arms.indexOf('canary') : arms.length)
    }))
  })

  it('sends those below the share to the canary, and who lies on it to stable', () => {
    expect([0, 0.0499, 0.05, 0.9].map((bucket) => armOf(bucket, 0.05))).toEqual(['canary', 'canary', 'stable', 'stable'])
  })

  it('gives each key to exactly one arm, nobody to the canary at 0 and everybody at 1', () => {
    fc.assert(fc.property(fc.string(), fc.string(), (salt, key) => {
      const { bucket } = draw(salt, key)
      expect(bucket).toBeGreaterThanOrEqual(0)
      expect(bucket).toBeLessThan(1)
      expect(armOf(bucket, 0)).toBe('stable')
      expect(armOf(bucket, 1)).toBe('canary')
    }))
  })

  it('is what HMAC-SHA256 says, in this process and in another', () => {
    const expected = createHmac('sha256', 'a salt').update('ünïcode key', 'utf8').digest().readUInt32BE(0) / 2 ** 32
    expect(draw('a salt', 'ünïcode key').bucket).toBe(expected)
    const code = `import { draw } from ${JSON.stringify(join(root, 'dist/proxy/canary/split.js'))}; console.log(JSON.stringify(['a', 'b', 'ünïcode key'].map((key) => draw('a salt', key))))`
    const other = JSON.parse(execFileSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' })) as unknown
    expect(other).toEqual(['a', 'b', 'ünïcode key'].map((key) => draw('a salt', key)))
  })

  it('chooses other users under another salt, independently of the first', () => {
    const first = newSalt()
    const second = newSalt()
    expect(first).not.toBe(second)
    let both = 0
    for (let key = 0; key < keys; key += 1) {
      if (draw('salt one', `user-${key}`).bucket < 0.1 && draw('salt two', `user-${key}`).bucket < 0.1) both += 1
    }
    const { low, high } = binomialLimits(keys, 0.01, 1e-6)
    expect(both).toBeGreaterThanOrEqual(low)
    expect(both).toBeLessThanOrEqual(high)
  })

  it('names units apart, and says nothing of the bucket by the name', () => {
    const units = new Set<string>()
    for (let key = 0; key < 10_000; key += 1) units.add(draw('salt', `user-${key}`).unit)
    expect(units.size).toBe(10_000)
    for (const unit of units) expect(unit).toMatch(/^[\w-]{11}$/)
  })
})
