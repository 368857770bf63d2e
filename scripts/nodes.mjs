// `npm run nodes [-- MAJOR…]`: the library's and the data plane's tests and a swap, on every Node that is supported.
// The binaries come as npm packages into a throw-away folder; what cannot be fetched is skipped, and said to be.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const tests = ['test/inherit', 'test/forward', 'test/e2e/seed-programs.test.ts', 'test/e2e/cli-swap.test.ts']
const given = process.argv.slice(2)
const majors = given.length > 0 ? given : ['20', '22', '24', '26']
if (majors.some((major) => !/^\d+$/.test(major))) {
  process.stderr.write(`nodes: expected major versions of Node such as 20 22, got ${JSON.stringify(given)}\n`)
  process.exit(2)
}

const folder = mkdtempSync(join(tmpdir(), 'gracer-nodes-'))
const outcomes = []
try {
  for (const major of majors) {
    const outcome = testOn(major)
    outcomes.push(outcome)
    process.stderr.write(`nodes: ${outcome.text}\n`)
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
process.stdout.write(`${outcomes.map(({ text }) => text).join('\n')}\n`)
process.exitCode = outcomes.some(({ ok }) => ok === false) || outcomes.every(({ ok }) => ok === null) ? 1 : 0

function testOn(major) {
  const binary = fetched(major)
  if (binary.path === undefined) return { ok: null, text: `Node ${major}: SKIPPED, ${binary.why}` }
  const version = spawnSync(binary.path, ['--version'], { encoding: 'utf8' }).stdout.trim()
  // First in PATH as well: what the tests start by the name "node" must be the same one.
  const env = { ...process.env, NO_COLOR: '1', PATH: `${dirname(binary.path)}${delimiter}${process.env.PATH}` }
  const ran = spawnSync(binary.path, [join(root, 'node_modules/vitest/vitest.mjs'), 'run', ...tests], { cwd: root, env, encoding: 'utf8', maxBuffer: 1 << 28 })
  const counts = /^ *Tests +(.*)$/m.exec(ran.stdout)?.[1] ?? 'no result'
  if (ran.status === 0) return { ok: true, text: `Node ${version}: ${counts}` }
  process.stderr.write(`${ran.stdout.slice(-20_000)}\n${ran.stderr.slice(-5_000)}\n`)
  return { ok: false, text: `Node ${version}: FAILED, ${counts}` }
}

/** The path of the binary, or why there is none. */
function fetched(major) {
  const name = `node-${process.platform}-${process.arch}`
  if (process.platform !== 'linux') return { why: `there is no such package for ${process.platform}` }
  const into = join(folder, major)
  const got = spawnSync('npm', ['install', '--prefix', into, '--no-save', '--ignore-scripts', '--no-audit', '--no-fund', `${name}@${major}`], { encoding: 'utf8' })
  const path = join(into, 'node_modules', name, 'bin', 'node')
  if (got.status === 0 && existsSync(path)) return { path }
  return { why: `${name}@${major} could not be fetched: ${got.stderr.trim().split('\n')[0] ?? 'npm failed'}` }
}
