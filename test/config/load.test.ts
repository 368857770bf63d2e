import { chownSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { GracerError } from '../../inherit/gracer-error.ts'
import { buildDefaults } from '../../agent/builds/limits.ts'
import { bakeRule } from '../../agent/canary/bake-rule.ts'
import { defaultLimits } from '../../proxy/front-settings.ts'
import { canaryConfigDefault } from '../../agent/config/canary.ts'
import { describeConfig } from '../../agent/config/describe.ts'
import { configJsonSchema } from '../../agent/config/json-schema.ts'
import { loadConfig } from '../../agent/config/load.ts'
import { problemsOf } from '../../agent/config/problems.ts'
import { scratch, withConfig } from './support.ts'

function problems(content: unknown, overrides = {}): Record<string, string> {
  try {
    loadConfig({ cwd: withConfig(content), overrides })
  } catch (error) {
    expect(error).toMatchObject({ code: 'config-invalid', exitCode: 2 })
    return Object.fromEntries(problemsOf(error).map(({ path, message }) => [path, message]))
  }
  return {}
}

function only(config: ReturnType<typeof loadConfig>) {
  const [service] = config.services
  if (service === undefined) throw new Error('no service')
  return service
}

it('gives the defaults of the design where there is no file', () => {
  const cwd = scratch()
  expect(loadConfig({ cwd })).toEqual({
    file: null,
    base: cwd,
    listen: { host: '127.0.0.1', port: 8080 },
    workers: 1,
    front: { trustProxy: false, limits: defaultLimits, access: null },
    log: { level: 'info' }, metrics: null,
    form: 'flat',
    services: [
      {
        name: 'default', match: { host: null, path: '/' }, releases: null, command: null, socket: 'auto', env: new Map(), envFile: null, keep: 5, watch: null, settleMs: 3_000, builds: buildDefaults,
        health: { path: null, host: 'localhost', headers: new Map(), expect: [{ from: 200, to: 299 }], intervalMs: 250, timeoutMs: 2_000, successes: 2, deadlineMs: 60_000 },
        drain: { timeoutMs: 30_000, streamsMs: 30_000, upgradedMs: 30_000, spreadMs: 5_000, stopMs: 10_000 },
        bakeMs: 20_000, bakeRule, previousAssets: false, onCrashLoop: 'hold', canary: canaryConfigDefault, hold: { timeoutMs: 10_000, max: 1_000, pace: 100 },
        overlap: true, hooks: { prepare: [], release: [], confirmed: [], timeoutMs: 600_000 }, ports: new Map(),
      },
    ],
  })
})

it('reads every key of the flat form, with paths relative to the file', () => {
  const cwd = withConfig({
    $schema: './node_modules/gracer/docs/gracer.schema.json',
    listen: '[::1]:9', workers: 3, trustProxy: true, limits: { idle: '5s', firstByte: '90s', bodySize: '1MiB', bodyStall: null }, log: { level: 'debug', access: { sample: 0.5, file: 'a.log', size: '1MB' } }, metrics: { listen: 'localhost:9464' },
    releases: './drops', command: ['node', 'x.mjs'], socket: 'port', env: { A: '1' }, envFile: 'my.env', keep: 2, settle: '1s', builds: { size: '64MiB', files: 50, sha256: 'required' },
    health: { path: '/up', host: 'shop.test:80', headers: { 'X-Probe': 'yes' }, expect: '204', interval: '1s', timeout: '3s', successes: 1, deadline: '2m' },
    drain: { timeout: '1s', streams: '0s', upgraded: '2s', spread: '0s', stop: '3s' }, bake: '0s', bakeRule: { users: 3, floor: '0.5%', factor: 1.5, withoutBaseline: '20%' }, previousAssets: true, onCrashLoop: 'rollback',
    hold: { timeout: '4s', max: 0 }, overlap: false, ports: { METRICS_PORT: 'auto', ADMIN_PORT: 9_100 },
    hooks: { prepare: ['npm', 'ci'], release: [['node', 'migrate.mjs'], ['node', 'seed.mjs']], timeout: '5m' },
  })
  writeFileSync(join(cwd, 'my.env'), 'B=2\n')
  const config = loadConfig({ cwd })
  expect(config).toMatchObject({ file: join(cwd, 'gracer.json'), base: cwd, listen: { host: '::1', port: 9 }, workers: 3, front: { trustProxy: true, limits: { idleMs: 5_000, firstByteMs: 90_000, bodyBytes: 1_048_576, bodyStallMs: null, readStallMs: 300_000 }, access: { sample: 0.5, query: false, file: join(cwd, 'a.log'), maxBytes: 1_000_000, keep: 3 } }, log: { level: 'debug' }, metrics: { host: '127.0.0.1', port: 9_464 } })
  expect(only(config)).toEqual({
    name: 'default', match: { host: null, path: '/' }, releases: join(cwd, 'drops'), command: ['node', 'x.mjs'], socket: 'port', env: new Map([['A', '1']]), envFile: join(cwd, 'my.env'), keep: 2, watch: null, settleMs: 1_000, builds: { maxBytes: 64 * 2 ** 20, maxEntries: 50, sha256: 'required' },
    health: { path: '/up', host: 'shop.test:80', headers: new Map([['X-Probe', 'yes']]), expect: [{ from: 204, to: 204 }], intervalMs: 1_000, timeoutMs: 3_000, successes: 1, deadlineMs: 120_000 },
    drain: { timeoutMs: 1_000, streamsMs: 0, upgradedMs: 2_000, spreadMs: 0, stopMs: 3_000 }, bakeMs: 0, bakeRule: { users: 3, floor: 0.005, factor: 1.5, withoutBaseline: 0.2 }, previousAssets: true, onCrashLoop: 'rollback', canary: canaryConfigDefault, hold: { timeoutMs: 4_000, max: 0, pace: 100 },
    overlap: false, ports: new Map<string, unknown>([['METRICS_PORT', 'auto'], ['ADMIN_PORT', 9_100]]),
    hooks: { prepare: [['npm', 'ci']], release: [['node', 'migrate.mjs'], ['node', 'seed.mjs']], confirmed: [], timeoutMs: 300_000 },
  })
})

it('freezes the result all the way down', () => {
  const config = loadConfig({ cwd: scratch() })
  expect(Object.isFrozen(config) && Object.isFrozen(config.services) && Object.isFrozen(only(config).health.expect[0])).toBe(true)
})

it('finds the file in the nearest folder above, and takes --config relative to the working folder', () => {
  const top = withConfig({ workers: 2 })
  const deep = join(top, 'a', 'b')
  mkdirSync(deep, { recursive: true })
  expect(loadConfig({ cwd: deep })).toMatchObject({ workers: 2, base: top })
  writeFileSync(join(top, 'a', 'other.json'), '{ "workers": 7 }')
  expect(loadConfig({ cwd: deep, file: '../other.json' })).toMatchObject({ workers: 7, base: join(top, 'a') })
})

it('does not obey a file above the working folder that another user has left there, unless it is named', () => {
  const top = withConfig({ workers: 2 })
  const file = join(top, 'gracer.json')
  mkdirSync(join(top, 'sub'))
  // Only root can give a file away; another user can only see that a file of their own is taken.
  const foreign = process.getuid?.() === 0
  if (foreign) chownSync(file, 54_321, 54_321)
  const load = (): number => loadConfig({ cwd: join(top, 'sub') }).workers
  if (foreign) expect(load).toThrowError(expect.objectContaining({ code: 'config-not-ours', exitCode: 2 }))
  else expect(load()).toBe(2)
  expect(loadConfig({ cwd: join(top, 'sub'), file }).workers).toBe(2)
  expect(loadConfig({ cwd: top }).workers).toBe(2)
})

it('takes an existing folder ./releases where nothing names one, unless the file says null', () => {
  const cwd = withConfig({})
  expect(only(loadConfig({ cwd })).releases).toBe(null)
  mkdirSync(join(cwd, 'releases'))
  expect(only(loadConfig({ cwd })).releases).toBe(join(cwd, 'releases'))
  writeFileSync(join(cwd, 'gracer.json'), '{ "releases": null }')
  expect(only(loadConfig({ cwd })).releases).toBe(null)
})

it('lets flags win over the file, with --releases relative to the working folder', () => {
  const top = withConfig({ listen: '1', workers: 2, releases: 'x', command: ['a'] })
  const cwd = join(top, 'sub')
  mkdirSync(cwd)
  const config = loadConfig({ cwd, overrides: { listen: ':3', workers: 4, releases: 'mine', command: ['b', '--c'] } })
  expect(config).toMatchObject({ listen: { host: '0.0.0.0', port: 3 }, workers: 4 })
  expect(only(config)).toMatchObject({ releases: join(cwd, 'mine'), command: ['b', '--c'] })
})

it('tells every error at once, each with its path, what was expected and what came', () => {
  const found = problems({ workers: 65, health: { interval: 'soon', expect: 'ok', successes: 0, path: 'up' }, drain: 3, command: 'node x', keep: 0, listen: 80, hold: { max: 1.5 } })
  expect(Object.keys(found).sort()).toEqual(['command', 'drain', 'health.expect', 'health.interval', 'health.path', 'health.successes', 'hold.max', 'keep', 'listen', 'workers'])
  expect(found['health.interval']).toBe('expected a duration from 1ms to 24h with its unit, such as "250ms", "30s", "2m" or "1h", got "soon"')
  expect(found['workers']).toBe('expected a whole number from 1 to 64, got 65')
  expect(found['drain']).toBe('expected an object, { … }, got 3')
  expect(found['command']).toContain('["node", "server.mjs"], got "node x"')
})

it('names the nearest known key for one it does not know', () => {
  expect(problems({ worker: 1, health: { intervall: '1s', pth: '/' }, xyzzyxyzzy: 1, deadline: '1s' })).toEqual({
    worker: 'unknown key; did you mean "workers"?',
    'health.intervall': 'unknown key; did you mean "interval"?',
    'health.pth': 'unknown key; did you mean "path"?',
    xyzzyxyzzy: expect.stringContaining('unknown key; expected one of listen, workers'),
    deadline: 'unknown key here; did you mean "health.deadline"?',
  })
})

it('keeps within the bounds of every value', () => {
  const bad: unknown[] = [
    { workers: 0 }, { workers: 1.5 }, { workers: '2' }, { settle: '0s' }, { settle: '25h' }, { bake: '-1s' }, { bakeRule: { users: 0 } }, { bakeRule: { floor: 5 } }, { bakeRule: { factor: 0.5 } }, { bakeRule: { withoutBaseline: '101%' } }, { keep: 0 }, { hold: { max: -1 } }, { hold: { timeout: '0ms' } },
    { health: { expect: '200-' } }, { health: { path: '/a b' } }, { health: { headers: { 'a b': 'x' } } }, { health: { headers: { a: 'x\ny' } } }, { health: { host: 'a/b' } },
    { command: [] }, { command: [''] }, { command: ['a', 1] }, { env: { 'A=B': '1' } }, { env: { A: 1 } }, { env: { GRACER_X: '1' } }, { env: { LISTEN_FDS: '1' } },
    { socket: 'tcp' }, { builds: { size: '1' } }, { builds: { size: '10B' } }, { builds: { files: 0 } }, { builds: { sha256: 'yes' } }, { builds: 5 }, { onCrashLoop: 'cry' }, { log: { level: 'trace' } }, { releases: '' }, { trustProxy: 'yes' }, { listen: '127.0.0.1:65536' }, [], 'x', null, 3,
  ]
  for (const content of bad) expect([JSON.stringify(content), Object.keys(problems(content)).length]).toEqual([JSON.stringify(content), 1])
})

it('takes a hook as one command or as several, and says what to write instead of a line', () => {
  const only = (content: object): unknown => loadConfig({ cwd: withConfig(content) }).services[0]?.hooks.prepare
  expect(only({ hooks: { prepare: [] } })).toEqual([])
  expect(only({ hooks: { prepare: ['npm', 'ci'] } })).toEqual([['npm', 'ci']])
  expect(only({ hooks: { prepare: [['npm', 'ci'], ['npm', 'run', 'build']] } })).toEqual([['npm', 'ci'], ['npm', 'run', 'build']])
  for (const bad of ['npm ci', ['npm ci', ['x']], [[]], [''], [['']], 3, null, { run: 'x' }, [['a\u0000']]]) {
    const [[path, message] = ['', '']] = Object.entries(problems({ hooks: { prepare: bad } }))
    expect(path).toMatch(/^hooks\.prepare/)
    expect(message).toContain('["npm", "ci"], or a list of those; a line for a shell is ["sh", "-c", "…"], got ')
  }
  expect(problems({ hooks: { preparee: [] } })).toEqual({ 'hooks.preparee': 'unknown key; did you mean "prepare"?' })
})

it('refuses a fixed second port where two releases would meet on it, and a name that is taken', () => {
  expect(problems({ ports: { METRICS_PORT: 9_100 } })).toEqual({ 'ports.METRICS_PORT': expect.stringContaining('expected "auto", got 9100: old and new release run beside each other') })
  expect(problems({ overlap: false, ports: { A: 9_100, B: 9_100 } })).toEqual({ 'ports.B': '9100 is given to A already' })
  expect(problems({ ports: { A: 'auto' }, env: { A: '1' } })).toEqual({ 'ports.A': 'is in "env" too; it can come from one of the two' })
  for (const ports of [{ PORT: 'auto' }, { HOST: 'auto' }, { GRACER_X: 'auto' }, { 'a b': 'auto' }, { A: 'any' }, { A: 0 }, { A: 65_536 }, []]) expect([JSON.stringify(ports), Object.keys(problems({ ports })).length]).toEqual([JSON.stringify(ports), 1])
})

it('does not repeat what may be a secret', () => {
  expect(JSON.stringify(problems({ env: { TOKEN: 12345 }, health: { headers: { Authorization: 67890 } } }))).not.toMatch(/12345|67890/)
})

it('names the flag where the flag is wrong', () => {
  expect(problems({ workers: 1 }, { listen: 'nowhere' })).toEqual({ '--listen': expect.stringContaining('got "nowhere"') })
})

it('gives line and column for a file that is no JSON', () => {
  const cwd = withConfig('{\n  "workers": 1,\n}')
  expect(() => loadConfig({ cwd })).toThrowError(`${join(cwd, 'gracer.json')}:3:1: expected a key in double quotes, got "}"`)
})

it('refuses a config or an env file that is not there', () => {
  const cwd = scratch()
  expect(() => loadConfig({ cwd, file: 'gone.json' })).toThrowError(expect.objectContaining({ code: 'config-missing', exitCode: 2 }))
  expect(() => loadConfig({ cwd: withConfig({ envFile: '.env' }) })).toThrowError(expect.objectContaining({ code: 'env-file-unreadable', exitCode: 2 }))
})

it('throws a GracerError or loads, whatever the file holds', () => {
  for (const text of ['', '{}', 'null', '{"__proto__": {"workers": 3}}', '{"env": {"__proto__": "x"}}', '{"constructor": 1}', '{"health": {"headers": {"__proto__": 1}}}']) {
    try {
      expect(loadConfig({ cwd: withConfig(text) }).workers).toBe(1)
    } catch (error) {
      expect(error).toBeInstanceOf(GracerError)
    }
  }
})

it('describes the config in full with the origin of each value, and hides what may be secret', () => {
  const cwd = withConfig({ workers: 2, health: { interval: '500ms', headers: { Authorization: 'hunter2' } }, env: { TOKEN: 'hunter2' } })
  const lines = describeConfig(loadConfig({ cwd, overrides: { listen: '9' } }))
  const origin = Object.fromEntries(lines.map((line) => [line.key, line.origin]))
  expect(origin).toMatchObject({ listen: 'flag', workers: 'file', 'health.interval': 'file', 'health.timeout': 'default', 'drain.stop': 'default' })
  expect(lines.find(({ key }) => key === 'health.interval')?.value).toBe('500ms')
  expect(JSON.stringify(lines)).not.toContain('hunter2')
  const described = new Set(lines.map(({ key }) => key.split('.')[0]))
  const { properties } = JSON.parse(configJsonSchema()) as { properties: Record<string, unknown> }
  expect(Object.keys(properties).filter((key) => !described.has(key))).toEqual(['$schema', 'services'])
})

it('takes true for the access log as it is by default, and figures on this machine alone', () => {
  expect(loadConfig({ cwd: withConfig({ log: { access: true } }) }).front.access).toEqual({ sample: 1, query: false, file: null, maxBytes: 64 * 2 ** 20, keep: 3 })
  for (const listen of [':9464', '0.0.0.0:9464', '10.0.0.1:9464', 'example.com:1']) expect(() => loadConfig({ cwd: withConfig({ metrics: { listen } }) })).toThrow(/metrics\.listen: expected a loopback address/)
  for (const access of [{ sample: 0 }, { sample: 2 }, { keep: 0 }, { size: '3' }, 'yes']) expect(() => loadConfig({ cwd: withConfig({ log: { access } }) })).toThrow(/log\.access/)
})
