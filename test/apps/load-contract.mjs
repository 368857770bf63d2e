// What the load apps share: the bytes, the name of the release, and the misbehaviour a test may order.
// Plain JavaScript, because a release folder runs it with nothing built.
import { createHash } from 'node:crypto'
import { readFileSync, realpathSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

/** The folder of the script that was started (not of this file): the release. */
export const folder = dirname(realpathSync(process.argv[1]))

/**
 * The same `length` bytes for the same seed, everywhere: xorshift32 (Marsaglia 2003), little-endian words.
 * test/load/bytes.ts is the other copy; a test shows that they agree.
 */
export function seededBytes(seed, length) {
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

/** release.txt beside the script, else GRACER_RELEASE, else the folder's name. */
export function releaseName() {
  const written = readBeside('release.txt')
  return written?.trim() || process.env.GRACER_RELEASE || basename(folder)
}

/**
 * behaviour.json beside the script, overlaid by the JSON in LOAD_BEHAVIOUR. Every key is optional:
 *   crashAtBoot: true          throws before it listens
 *   neverListens: true         stays alive, listens to nothing
 *   listenAfterMs: N
 *   fail: 'all' | 'health' | 'public'   answers 500: on everything, on /healthz alone, on everything but /healthz
 *   failAfterMs: N, failAfterRequests: N   … from then on only (the requests are counted without /healthz)
 *   redirectTo: URL            answers 301 to everything
 *   exitAfterMs: N, exitCode: N
 *   keepAliveTimeoutMs: N
 *   ignoreSigterm: true
 *   doubleFork: true           leaves a daemon behind that is not a child of ours; its pid goes to daemon.pid
 */
export function readBehaviour() {
  const file = readBeside('behaviour.json')
  const env = process.env.LOAD_BEHAVIOUR
  return { ...(file ? JSON.parse(file) : {}), ...(env ? JSON.parse(env) : {}) }
}

function readBeside(name) {
  try {
    return readFileSync(join(folder, name), 'utf8')
  } catch (error) {
    if (error.code === 'ENOENT') return null
    throw error
  }
}

/** The numbers of a query string, with their defaults; what is not a number in range is the default. */
export function numbers(query, defaults) {
  const out = {}
  for (const [key, fallback] of Object.entries(defaults)) {
    const value = Number(query.get(key) ?? fallback)
    out[key] = Number.isInteger(value) && value >= 0 && value <= 0xffffffff ? value : fallback
  }
  return out
}

export function digestLine(hash, length) {
  return `${hash.digest('hex')} ${length}\n`
}

export function newDigest() {
  return createHash('sha256')
}
