import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { servicesUnderLoad } from '../bench/services-under-load.ts'
import { until } from '../support/deadline.ts'
import { GracerProcess } from '../support/gracer-process.ts'
import { killAll, pidsOf, processesOf, signal } from './kill-support.ts'

let gracer: GracerProcess | null = null
afterEach(async () => {
  await gracer?.end()
  gracer = null
})

const app = `import http from 'node:http'
const own = process.env.GRACER_SERVICE + ' ' + process.env.GRACER_RELEASE
http.createServer((request, response) => {
  if (request.url === '/slow') setTimeout(() => response.end(own + ' slow'), 700)
  else response.end(own + ' ' + request.url + ' ' + (process.env.COLOR ?? ''))
}).listen(process.env.PORT)
`

/** Services with a first release each, all live. */
async function start(services: Record<string, Record<string, unknown>>): Promise<GracerProcess> {
  const made = await GracerProcess.create({})
  gracer = made
  configure(made, services)
  for (const name of Object.keys(services)) release(made, name, 'first')
  await made.up()
  await allLive(made, Object.keys(services))
  return made
}

function configure(made: GracerProcess, services: Record<string, Record<string, unknown>>, top: Record<string, unknown> = {}): void {
  const full = Object.fromEntries(Object.entries(services).map(([name, keys]) => [name, { command: ['node', 'server.mjs'], bake: '100ms', settle: '200ms', ...keys }]))
  made.writeConfig({ releases: undefined, services: full, ...top })
}

function release(made: GracerProcess, service: string, name: string): void {
  const folder = join(made.releases, service, name)
  // A build that is there is left alone: one that changes is another one.
  if (existsSync(folder)) return
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'server.mjs'), app)
  writeFileSync(`${folder}.ready`, '')
}

async function allLive(made: GracerProcess, names: readonly string[]): Promise<void> {
  let last = ''
  await until(`${names.join(', ')} to be live`, async () => {
    const status = await made.status().catch(() => null)
    if (status === null) return null
    last = JSON.stringify(status.services.map((one) => [one.name, one.live, one.confirmed]))
    return status.services.map((one) => one.name).join() === names.join() && status.services.every((one) => one.live !== null && one.confirmed)
  }, 30_000).catch((error: unknown) => { throw new Error(`${(error as Error).message}; last seen ${last}\n${made.gracerLog().slice(-15).map((line) => JSON.stringify(line)).join('\n')}`) })
}

/** What comes back for a request written byte by byte. */
function raw(made: GracerProcess, target: string, host: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    const socket = net.connect(made.port, '127.0.0.1', () => socket.write(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`))
    socket.on('error', reject).setEncoding('utf8').on('data', (more: string) => (text += more)).on('close', () => resolve(text))
  })
}

async function answerer(made: GracerProcess, target: string, host = 'x.test'): Promise<string> {
  const text = await raw(made, target, host)
  return text.startsWith('HTTP/1.1 200') ? (text.split('\r\n\r\n')[1] ?? '').replace(/^[0-9a-f]+\r\n/, '').split(' ')[0] ?? '' : (text.split(' ')[1] ?? text)
}

describe('several services', () => {
  test('three under load, each swapped at random, one reloaded, one removed: nothing lost, no figure in the wrong place', async () => {
    const result = await servicesUnderLoad({ swaps: 5, workers: 2, connections: 24, rate: 80, seed: 7 })
    for (const [name, report] of Object.entries(result.reports)) {
      expect(report.failures).toEqual([])
      expect({ name, failed: report.failed, refused: report.refused }).toEqual({ name, failed: 0, refused: 0 })
      // Only its own releases, in their order.
      expect(report.releasesSeen).toEqual(Array.from({ length: result.swapped[name as keyof typeof result.swapped] + 1 }, (_, index) => `${name}-${index}`))
    }
    expect({ stale: result.stale, lost: result.lost, violations: result.violations, removedStatus: result.removedStatus }).toEqual({ stale: 0, lost: 0, violations: 0, removedStatus: 404 })
    expect(result.services.map((one) => one.name)).toEqual(['alpha', 'beta'])
    for (const name of ['alpha', 'beta'] as const) {
      const counted = result.services.find((one) => one.name === name)?.releases.reduce((sum, one) => sum + one.requests, 0) ?? 0
      // What the client counts as a request and gracer does: the same, but for the last few that the stop cut short.
      expect(Math.abs(counted - result.answered[name])).toBeLessThanOrEqual(result.answered[name] * 0.02 + 30)
    }
  }, 180_000)

  test('host and path choose the service: exact before wildcard, the longest prefix, at a slash, byte by byte', async () => {
    const made = await start({
      web: {}, api: { path: '/api' }, deep: { path: '/api/deep' }, shop: { host: 'shop.test' }, wild: { host: '*.shop.test' }, wilder: { host: '*.eu.shop.test', path: '/only' },
    })
    const table: readonly (readonly [target: string, host: string, service: string])[] = [
      ['/', 'x.test', 'web'], ['/api', 'x.test', 'api'], ['/api/', 'x.test', 'api'], ['/api?x=/deep', 'x.test', 'api'], ['/api//x', 'x.test', 'api'],
      ['/apix', 'x.test', 'web'], ['/api%2fx', 'x.test', 'web'], ['//api/x', 'x.test', 'web'], ['/API', 'x.test', 'web'], ['/api/../x', 'x.test', 'api'], ['/x/../api', 'x.test', 'web'],
      ['/api/deep', 'x.test', 'deep'], ['/api/deeper', 'x.test', 'api'],
      ['/', 'shop.test', 'shop'], ['/', 'SHOP.test:81', 'shop'], ['/', 'shop.test.', 'shop'], ['/', 'a.shop.test', 'wild'], ['/', 'a.b.shop.test', 'wild'],
      ['/only', 'x.eu.shop.test', 'wilder'], ['/else', 'x.eu.shop.test', 'wild'], ['/api', 'notshop.test', 'api'], ['/', '.shop.test', '400'],
    ]
    const found = await Promise.all(table.map(async ([target, host]) => [target, host, await answerer(made, target, host)]))
    expect(found).toEqual(table)
  }, 60_000)

  test('a host or path that is nobody\'s is answered 404, with the reason', async () => {
    const made = await start({ api: { path: '/api' } })
    const text = await raw(made, '/other', 'x.test')
    expect(text).toMatch(/^HTTP\/1\.1 404 /)
    expect(text).toContain('No service')
    expect(await answerer(made, '/api/x')).toBe('api')
  }, 60_000)

  test('commands need to be told which service, status shows all, and a swap of one leaves the others alone', async () => {
    const made = await start({ one: {}, two: { path: '/two' } })
    const before = await made.status()
    const unsaid = await made.cli('swap')
    expect([unsaid.code, unsaid.stderr]).toEqual([2, expect.stringContaining('Add --service with one of one, two.')])
    expect((await made.cli('swap', '--service', 'three')).stderr).toContain('There is: one, two.')
    const swapped = await made.cli('restart', '--service', 'two')
    expect(swapped.code).toBe(0)
    const after = await made.status()
    expect(after.services.map((one) => one.name)).toEqual(['one', 'two'])
    expect(after.services[0]).toEqual({ ...before.services[0], traffic: expect.anything(), releases: expect.anything() })
    expect(after.services[0]?.releases[0]?.pid).toBe(before.services[0]?.releases[0]?.pid)
    expect(after.services[1]?.releases.find((one) => one.state === 'live')?.id).toBe('v2')
    expect((await made.cli('history', '--service', 'one', '--json')).stdout).not.toContain('"restart"')
    expect((await made.cli('--version')).stdout.trim()).toBe('0.1.0')
  }, 60_000)
})

describe('gracer reload', () => {
  test('a broken config is refused with every error, and changes nothing', async () => {
    const made = await start({ one: {}, two: { path: '/two' } })
    const before = await made.status()
    configure(made, { one: { path: '/two' }, two: { path: '/two', bake: 3 } })
    const refused = await made.cli('reload')
    expect([refused.code, refused.stdout]).toEqual([2, ''])
    expect(refused.stderr).toContain('services.two.bake')
    expect(refused.stderr).toContain('\n  one: first is live, two: first is live, as before: nothing was changed. When it is mended: gracer reload.\n')
    configure(made, { one: { path: '/two' }, two: { path: '/two' } })
    expect((await made.cli('reload')).stderr).toContain('services.two')
    expect((await made.status()).services.map((one) => one.releases[0]?.pid)).toEqual(before.services.map((one) => one.releases[0]?.pid))
    expect([await answerer(made, '/'), await answerer(made, '/two')]).toEqual(['one', 'two'])
  }, 60_000)

  test('adds one, moves one, removes one that is in the middle of a reply; it comes back with what was confirmed', async () => {
    const made = await start({ one: {}, two: { path: '/two' } })
    const kept = (await made.status()).services[0]?.releases[0]?.pid
    const slow = raw(made, '/slow', 'x.test')
    configure(made, { two: { path: '/zwei' }, three: { path: '/three' } })
    release(made, 'three', 'first')
    const done = await made.cli('reload')
    expect(done.code).toBe(0)
    for (const line of ['three is new', 'one is gone: 404 from now on', 'two: path changed and is in use']) expect(done.stdout).toContain(line)
    expect(await slow).toContain('one v1 slow')
    await allLive(made, ['two', 'three'])
    expect([await answerer(made, '/'), await answerer(made, '/two'), await answerer(made, '/zwei'), await answerer(made, '/three')]).toEqual(['404', '404', 'two', 'three'])
    await until('its process to be gone', () => !pidsOf(made, 'backend').includes(kept ?? 0))

    configure(made, { one: {}, two: { path: '/zwei' }, three: { path: '/three' } })
    const back = await until('its end to be over', async () => {
      const result = await made.cli('reload')
      return result.code === 4 ? null : result
    }, 20_000)
    expect(back.code).toBe(0)
    await allLive(made, ['one', 'two', 'three'])
    const again = (await made.status()).services[0]
    expect([again?.live, again?.releases.find((one) => one.state === 'live')?.id]).toEqual(['first', 'v1'])
    expect(await answerer(made, '/')).toBe('one')
  }, 90_000)

  test('says what waits for a boot and for a start, and an env is taken up by the restart it names', async () => {
    const made = await start({ one: {}, two: { path: '/two' } })
    configure(made, { one: { env: { COLOR: 'red' }, hold: { timeout: '3s' } }, two: { path: '/two' } }, { workers: 2 })
    const { stdout } = await made.cli('reload')
    for (const line of ['one: hold.timeout changed and is in use', 'one: env changed; taken up by the next boot: gracer restart --service one', 'workers changed; taken up when gracer is started again']) expect(stdout).toContain(line)
    expect(stdout).not.toContain('two:  ')
    expect(await raw(made, '/', 'x.test')).not.toContain('red')
    expect((await made.cli('restart', '--service', 'one')).code).toBe(0)
    expect(await raw(made, '/', 'x.test')).toContain('red')
    expect((await made.cli('reload')).stdout).toContain('workers changed')
  }, 60_000)

  test('a service taken out while the agent was away is drained and stopped by the next one; the others go on', async () => {
    const made = await start({ one: {}, two: { path: '/two' } })
    const { agent, services } = await made.status()
    configure(made, { one: {} })
    signal(agent.pid, 'SIGKILL')
    await allLive(made, ['one'])
    const two = services[1]?.releases[0]?.pid ?? 0
    await until('its backend to be gone', () => !pidsOf(made, 'backend').includes(two))
    expect([await answerer(made, '/two'), pidsOf(made, 'backend')]).toEqual(['one', [services[0]?.releases[0]?.pid]])
  }, 60_000)

  test('an agent killed in the middle of reloads, and a kill of everything, end with what the config says', async () => {
    const made = await start({ one: {}, two: { path: '/two' } })
    for (const services of [{ one: {}, three: { path: '/three' } }, { one: {}, two: { path: '/two' } }]) {
      configure(made, services)
      for (const name of Object.keys(services)) release(made, name, 'first')
      const reloading = made.cli('reload')
      await until('the command to have begun', () => processesOf(made).some((one) => one.role === 'command') || null)
      for (const pid of pidsOf(made, 'agent')) signal(pid, 'SIGKILL')
      await reloading
      await allLive(made, Object.keys(services))
    }
    await killAll(made)
    await made.up()
    await allLive(made, ['one', 'two'])
    expect([await answerer(made, '/'), await answerer(made, '/two'), await answerer(made, '/three')]).toEqual(['one', 'two', 'one'])
    expect((await made.status()).violations).toBe(0)
  }, 120_000)
})
