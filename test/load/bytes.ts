/**
 * The same `length` bytes for the same seed, everywhere: xorshift32 (Marsaglia 2003), little-endian words.
 * The apps under load have copies of their own, because they run unbuilt; a test shows that they agree.
 */
export function seededBytes(seed: number, length: number): Buffer {
  const words = Math.ceil(length / 4)
  const out = Buffer.allocUnsafe(words * 4)
  let x = Math.imul(seed ^ 0x5bf03635, 0x9e3779b1) | 0
  if (x === 0) x = 1
  for (let i = 0; i < words; i++) {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    out.writeInt32LE(x, i * 4)
  }
  return out.subarray(0, length)
}

/** Numbers for sizes, seeds and pauses. Seeded, so that a run can be repeated with the same requests. */
export interface Random {
  /** A whole number, both ends included. */
  between(low: number, high: number): number
}

export function seededRandom(seed: number): Random {
  let x = (Math.imul(seed, 0x9e3779b1) | 0) || 1
  return {
    between(low, high) {
      x ^= x << 13
      x ^= x >>> 17
      x ^= x << 5
      return low + ((x >>> 0) % (high - low + 1))
    },
  }
}
