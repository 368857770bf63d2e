import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { describeConfig } from '../../agent/config/describe.ts'
import { configJsonSchema } from '../../agent/config/json-schema.ts'
import { keepConfig, keptConfig } from '../../agent/config/kept.ts'
import { loadConfig } from '../../agent/config/load.ts'
import { problemsOf } from '../../agent/config/problems.ts'
import type { Config } from '../../agent/config/types.ts'
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

const load = (content: unknown): Config => loadConfig({ cwd: withConfig(content) })

it('reads several services, each with the defaults of one and a folder of its own', () => {
  const config = load({ workers: 2, services: { api: { host: 'API.Example.org.', path: '/v1/', keep: 2, health: { path: '/up' } }, web: {}, own: { path: '/own', releases: null, command: ['x'] } } })
  expect(config).toMatchObject({ form: 'services', workers: 2 })
  expect(config.services).toMatchObject([
    { name: 'api', match: { host: 'api.example.org', path: '/v1' }, releases: join(config.base, 'releases', 'api'), keep: 2, health: { path: '/up', successes: 2 } },
    { name: 'web', match: { host: null, path: '/' }, releases: join(config.base, 'releases', 'web'), keep: 5, health: { path: null } },
    { name: 'own', match: { host: null, path: '/own' }, releases: null, command: ['x'] },
  ])
})

it('says of every key at the top that it belongs to one service, where there are several', () => {
  expect(problems({ listen: ':1', bake: '1s', health: { path: '/' }, services: { api: {} } })).toEqual({
    bake: 'stands beside "services" and belongs to one service; write it as "services.NAME.bake"',
    health: 'stands beside "services" and belongs to one service; write it as "services.NAME.health"',
  })
  expect(Object.keys(problems({ services: { api: {} } }, { releases: 'x', command: ['y'] }))).toEqual(['--releases', '-- CMD'])
  expect(problems({ services: { api: {} } }, { listen: ':1', workers: 2 })).toEqual({})
})

it('tells every error of every service with its path, and what it may have meant', () => {
  expect(problems({ services: { api: { health: { intervall: '1s', timeout: 3 }, hots: 'a' }, web: { interval: '1s', workers: 2 } } })).toEqual({
    'services.api.health.intervall': 'unknown key; did you mean "interval"?',
    'services.api.health.timeout': expect.stringContaining('expected a duration'),
    'services.api.hots': 'unknown key; did you mean "host"?',
    'services.web.interval': 'unknown key here; did you mean "services.web.health.interval"?',
    'services.web.workers': 'unknown key here; did you mean "workers" at the top?',
  })
  expect(problems({ host: 'a.example' })).toEqual({ host: expect.stringContaining('did you mean "health.host" or "services.NAME.host"?') })
  expect(problems({ services: { 'a.b': { keep: 0 } } })).toEqual({ 'services["a.b"].keep': expect.stringContaining('from 1 to 1000') })
})

it('does not repeat what may be a secret of a service', () => {
  expect(JSON.stringify(problems({ services: { api: { env: { TOKEN: 12345 }, health: { headers: { Authorization: 67890 } } } } }))).not.toMatch(/12345|67890/)
})

it('takes names that can be a folder, and no two that a file system may take for one', () => {
  for (const name of ['', '.x', '-x', 'a/b', 'a b', '../x', 'x'.repeat(65), 'é']) expect(Object.keys(problems({ services: { [name]: {} } }))).toHaveLength(1)
  expect(problems({ services: { Api: {}, api: { path: '/x' } } })).toEqual({ 'services.api': 'differs from services.Api by upper and lower case only' })
  expect(Object.keys(problems({ services: {} }))).toEqual(['services'])
  expect(Object.keys(problems({ services: [] }))).toEqual(['services'])
  expect(Object.keys(problems({ services: null }))).toEqual(['services'])
})

it('refuses two services that answer to the same', () => {
  expect(problems({ services: { a: { host: 'X.org', path: '/p/' }, b: { host: 'x.org.', path: '/p' }, c: { path: '/p' } } })).toEqual({
    'services.b': 'answers to x.org/p, and so does services.a; give one of them another "host" or "path"',
  })
  expect(problems({ services: { a: {}, b: {} } })).toEqual({ 'services.b': expect.stringContaining('answers to every host and path') })
})

it('refuses two services with the same drops', () => {
  expect(Object.keys(problems({ services: { a: { releases: './r' }, b: { path: '/b', releases: 'r/' } } }))).toEqual(['services.b.releases'])
  expect(Object.keys(problems({ services: { a: { releases: './releases' }, b: { path: '/b' } } }))).toEqual(['services.b.releases'])
  expect(problems({ services: { a: { releases: './re' }, b: { path: '/b' }, c: { path: '/c', releases: './releases/a' } } })).toEqual({})
})

it('takes hosts and paths as a request can name them', () => {
  for (const host of ['', 'a b', 'a:80', '*', '*.', 'a.*.org', '**.org', 'http://a', 'a/b', '*.127.0.0.1', '*.[::1]', 3]) {
    expect([host, ...Object.keys(problems({ services: { a: { host } } }))]).toEqual([host, 'services.a.host'])
  }
  for (const path of ['', 'a', '//', '/a//b', '/./a', '/a/..', '/a?b', '/a#b', '/a b', '/é', '/%', '/%2', '/a/%zz', 3]) {
    expect([path, ...Object.keys(problems({ services: { a: { path } } }))]).toEqual([path, 'services.a.path'])
  }
  const config = load({ services: { a: { host: '*.Example.ORG', path: '/a%2Fb/~x/...' }, b: { host: '[::1]', path: '/' }, c: { host: '127.0.0.1', path: '/a/b/' } } })
  expect(config.services.map(({ match }) => match)).toEqual([{ host: '*.example.org', path: '/a%2Fb/~x/...' }, { host: '[::1]', path: '/' }, { host: '127.0.0.1', path: '/a/b' }])
})

it('checks the env file of each service', () => {
  const cwd = withConfig({ services: { a: { envFile: 'a.env' }, b: { path: '/b', envFile: 'b.env' } } })
  expect(() => loadConfig({ cwd })).toThrowError(/services\.a\.envFile: [^]*services\.b\.envFile: /)
  writeFileSync(join(cwd, 'a.env'), 'A=1\n')
  expect(() => loadConfig({ cwd })).toThrowError(expect.objectContaining({ code: 'env-file-unreadable', exitCode: 2 }))
  writeFileSync(join(cwd, 'b.env'), 'B=1\n')
  expect(loadConfig({ cwd }).services.map((one) => one.envFile)).toEqual([join(cwd, 'a.env'), join(cwd, 'b.env')])
})

it('describes each service by itself, with the origin of each value', () => {
  const lines = describeConfig(load({ services: { api: { path: '/api', drain: { stop: '1s' } }, 'a.b': { env: { TOKEN: 'hunter2' } } } }))
  const by = new Map(lines.map((line) => [line.key, line]))
  expect(by.get('services.api.path')).toMatchObject({ value: '/api', origin: 'file' })
  expect(by.get('services.api.host')).toMatchObject({ value: null, origin: 'default' })
  expect(by.get('services.api.drain.stop')).toMatchObject({ value: '1s', origin: 'file' })
  expect(by.get('services.api.drain.timeout')).toMatchObject({ origin: 'default' })
  expect(by.get('services["a.b"].env')).toMatchObject({ value: { TOKEN: '(set)' }, origin: 'file' })
  expect(JSON.stringify(lines)).not.toContain('hunter2')
})

it('offers an editor the keys of a service in both places', () => {
  interface Schema { properties: Record<string, { additionalProperties?: Schema }> }
  const { properties } = JSON.parse(configJsonSchema()) as Schema
  const entry = properties['services']?.additionalProperties?.properties ?? {}
  expect(Object.keys(entry)).toEqual(expect.arrayContaining(['host', 'path', 'health', 'command']))
  expect(Object.keys(entry).filter((key) => key !== 'host' && key !== 'path' && !(key in properties))).toEqual([])
})

it('survives being kept in a file', () => {
  const config = load({ services: { api: { env: { A: '1' } } } })
  const file = join(scratch(), 'kept.json')
  keepConfig(file, config)
  expect(keptConfig<Config>(file)).toEqual(config)
})

it('loads or throws an error with a path, whatever stands in a service', () => {
  const json = fc.jsonValue({ maxDepth: 3 })
  const key = fc.constantFrom('host', 'path', 'health', 'env', 'command', 'drain', 'x', '__proto__', 'constructor')
  fc.assert(fc.property(fc.dictionary(fc.constantFrom('api', 'web', '', '__proto__'), fc.oneof(json, fc.dictionary(key, json))), (services) => {
    for (const message of Object.values(problems({ services }))) expect(message).not.toContain('undefined')
  }), { numRuns: 200 })
})
