import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { DevFlags } from '../../agent/cli/dev.ts'
import { plainDevFlags } from '../../agent/cli/dev-words.ts'
import { buildProgram } from '../../agent/cli/program.ts'
import { configureUsage } from '../../agent/cli/usage.ts'
import { devFlags, type Flags } from '../../agent/cli/verb-dev.ts'
import { loadConfig } from '../../agent/config/load.ts'
import type { Config } from '../../agent/config/types.ts'
import { plainConfig } from '../../agent/dev/plain-config.ts'
import { plainFileConfig } from '../../agent/dev/plain-file.ts'
import { planDev } from '../../agent/dev/plan.ts'

test('the config that needs no schema is the one that the schema gives where there is no file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'gracer-plain-'))
  try {
    const { services: [full, ...others], ...rest } = loadConfig({ cwd: folder, overrides: { listen: '[::1]:81' } })
    const { services: [plain], ...plainRest } = plainConfig(folder, '[::1]:81') as Config
    expect(plainRest).toEqual(rest)
    // Nothing in dev reads the canary's settings.
    expect(plain).toEqual({ ...full, canary: undefined })
    expect(others).toEqual([])
  } finally {
    rmSync(folder, { recursive: true })
  }
})

/** Good values and bad ones for the keys that are read without the schema, and some keys that are not. */
const someValues: Record<string, readonly unknown[]> = {
  $schema: ['x', 1], listen: ['8080', ':81', '[::1]:0', 'here', 80], workers: [1, 64, 65, 0, 1.5, '1'], trustProxy: [true, null],
  log: [{}, { level: 'warn' }, { level: 'loud' }, { access: true }, []], releases: ['r', null, '', 'a\0b', 1], command: [['node', 'a'], ['a', ''], [], [''], ['a', 1], ['a\0'], null, 'node a'],
  socket: ['auto', 'port', 'inherit', 'none'], env: [{}, { A: 'b', 'a.b': '' }, { GRACER_X: '1' }, { A: 1 }, { A: '\0' }, JSON.parse('{"__proto__":"x"}'), null, []],
  envFile: [null, 'good.env', 'bad.env', 'none.env', ''], keep: [1, 1000, 1001, 0], settle: ['3s', '0s', '25h', 3], bake: ['0s', '1.5m', ''], previousAssets: [true, 'yes'],
  onCrashLoop: ['hold', 'rollback', 'x'], overlap: [true, false, 0],
  health: [{}, { path: '/x', host: 'h:1' }, { path: null }, { path: 'x' }, { host: 'a b' }, { expect: '200,300-399' }, { expect: '1' }, { successes: 3, interval: '1s', timeout: '5s', deadline: '2m' }, { headers: { a: 'b' } }, null],
  drain: [{}, { timeout: '1s', streams: '0s', upgraded: '1ms', spread: '0s', stop: '2s' }, { timeout: '0s' }, { stop: 1 }, { x: '1s' }],
  hooks: [{}, { prepare: ['npm', 'ci'], release: [['a'], ['b', 'c']], confirmed: [], timeout: '1h' }, { prepare: [[]] }, { prepare: [''] }, { prepare: 'x' }, { release: [['a'], 'b'] }],
  hold: [{}, { timeout: '1s', max: 0, pace: 1 }, { max: -1 }, { pace: 0 }], ports: [{ A: 'auto' }], canary: [{}], services: [{ a: {} }], metrics: [{}], limits: [{}], watch: ['w'], comand: [['node']],
}

test('a plain gracer.json is read without the schema as the schema reads it, and any other is left to that', () => {
  const folder = mkdtempSync(join(tmpdir(), 'gracer-plain-'))
  const file = join(folder, 'gracer.json')
  writeFileSync(join(folder, 'good.env'), 'B=c\n')
  writeFileSync(join(folder, 'bad.env'), 'no pair\n')
  const read = new Set<string>()
  const agree = (text: string, listen?: string): void => {
    writeFileSync(file, text)
    const plain = plainFileConfig(file, listen)
    if (plain === null) return
    const full = loadConfig({ cwd: folder, overrides: listen === undefined ? {} : { listen } })
    // Nothing in dev reads the canary's settings. As text too: so values of two boots are compared.
    const comparable = ({ services, ...rest }: Config): unknown => ({ ...rest, services: services.map((service) => ({ ...service, canary: undefined })) })
    expect(comparable(plain)).toEqual(comparable(full))
    expect(JSON.stringify(plain.front)).toBe(JSON.stringify(full.front))
    for (const [key, value] of Object.entries(JSON.parse(text) as object)) read.add(`${key} ${JSON.stringify(value)}`)
  }
  try {
    for (const [key, values] of Object.entries(someValues)) for (const value of values) agree(JSON.stringify({ [key]: value }))
    // So many of them are read without the schema: the usual ones.
    expect(read.size).toBe(42)
    const good = Object.entries(someValues).map(([key, values]) => [key, values.filter((value) => read.has(`${key} ${JSON.stringify(value)}`))] as const).filter(([, values]) => values.length > 0)
    const some = fc.record(Object.fromEntries(good.map(([key, values]) => [key, fc.constantFrom(...values)])), { requiredKeys: [] })
    fc.assert(fc.property(some, fc.option(fc.constantFrom('81', 'here'), { nil: undefined }), (config, listen) => agree(JSON.stringify(config), listen)), { numRuns: 200, seed: 1 })
    for (const text of ['', '{', '[]', 'null', '{"overlap":true,"overlap":false}', '{"command":["a"],}']) {
      writeFileSync(file, text)
      expect(plainFileConfig(file), text).toBeNull()
    }
    expect(plainFileConfig(join(folder, 'none.json'))).toBeNull()
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('a command that comes from a gracer.json above the working folder is said to come from there', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'gracer-plain-'))
  try {
    mkdirSync(join(folder, 'app'))
    writeFileSync(join(folder, 'gracer.json'), '{"command":["node","a.mjs"]}')
    expect((await planDev({ cwd: join(folder, 'app'), command: [], inspect: null })).from).toBe('command of ../gracer.json')
    expect((await planDev({ cwd: folder, command: [], inspect: null })).from).toBe('command of gracer.json')
  } finally {
    rmSync(folder, { recursive: true })
  }
})

/** What the parser of the whole command line makes of it; null: an error. */
function parsed(words: readonly string[]): DevFlags | null {
  let flags: DevFlags | null = null
  const program = buildProgram(() => {})
  configureUsage(program)
  const dev = program.commands.find((command) => command.name() === 'dev')
  dev?.configureOutput({ outputError: () => {} }).action((rest: string[], own: Flags) => {
    flags = devFlags(rest, own, dev)
  })
  try {
    program.parse(['dev', ...words], { from: 'user' })
  } catch {
    return null
  }
  return flags
}

test('plain words behind `gracer dev` are read without the parser as the parser reads them', () => {
  const word = fc.constantFrom(
    '--json', '--no-color', '--keep-old', '--no-inject', '--no-overlap', '--poll', '--listen', '--watch', '--ignore', '--build', '--config', '--state', '--service',
    '--inspect', '--build-timeout', '--listen=81', '--help', '--jso', '-x', '8080', 'src', '5s', 'node', 'server.js', '--',
  )
  let read = 0
  fc.assert(fc.property(fc.array(word, { maxLength: 8 }), (words) => {
    const plain = plainDevFlags(words)
    if (plain === null) return
    read += 1
    expect(plain).toEqual(parsed(words))
  }), { numRuns: 2_000, seed: 1 })
  expect(read).toBeGreaterThan(100)
  expect(plainDevFlags(['--listen', '81', '--', 'node', '--json'])).toMatchObject({ listen: '81', command: ['node', '--json'], json: false })
})
