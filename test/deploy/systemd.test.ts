import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { freePort } from '../../inherit/ephemeral-socket.ts'
import { startLoad } from '../load/load.ts'
import { makeRelease } from '../load/make-release.ts'
import { until } from '../support/deadline.ts'
import { cliFile, root } from '../support/gracer-process.ts'
import { Systemd, whyNoSystemd } from '../support/systemd.ts'

const why = whyNoSystemd()
if (why !== null) process.stderr.write(`systemd.test.ts: skipped, because ${why}\n`)

let systemd: Systemd | null = null
afterEach(async () => {
  await systemd?.end()
  systemd = null
})

/** The units as they are shipped, but for the paths, the port and the user that this machine does not have. */
function units(port: number): Record<string, string> {
  const read = (name: string): string => readFileSync(join(root, 'deploy', 'systemd', name), 'utf8')
  const replaced = (text: string, pairs: readonly (readonly [string, string])[]): string =>
    pairs.reduce((before, [from, to]) => {
      if (!before.includes(from)) throw new Error(`the unit does not contain ${from}`)
      return before.replaceAll(from, to)
    }, text)
  return {
    'gracer.socket': replaced(read('gracer.socket'), [['0.0.0.0:80\n', `127.0.0.1:${port}\n`]]),
    'gracer.service': replaced(read('gracer.service'), [
      ['WorkingDirectory=/srv/app', 'WorkingDirectory=@FOLDER@/app'],
      ['/usr/bin/node /srv/app/node_modules/gracer/dist/agent/cli/main.js', `${process.execPath} ${cliFile}`],
      ['StateDirectory=gracer\n', ''], ['StateDirectoryMode=0700\n', ''], ['GRACER_STATE=/var/lib/gracer', 'GRACER_STATE=@FOLDER@/state'],
      ['User=gracer\nGroup=gracer\n', ''],
      // A checkout below /tmp would not be there in a /tmp of the unit's own.
      ...(/^\/(?:var\/)?tmp\//.test(`${root}/`) ? ([['PrivateTmp=true\n', '']] as const) : []),
    ]),
  }
}

async function startService(config: Record<string, unknown>): Promise<{ port: number; system: Systemd }> {
  const port = await freePort()
  const system = await Systemd.start(units(port), (folder) => {
    mkdirSync(join(folder, 'app', 'releases'), { recursive: true })
    writeFileSync(join(folder, 'app', 'gracer.json'), JSON.stringify({ listen: `127.0.0.1:${port}`, releases: './releases', bake: '200ms', ...config }))
  })
  systemd = system
  await makeRelease(join(system.folder, 'app', 'releases'), 'r0')
  writeFileSync(join(system.folder, 'app', 'releases', 'r0.ready'), '')
  expect(system.systemctl('start', 'gracer.socket')).toMatchObject({ code: 0 })
  return { port, system }
}

function ask(port: number): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    http.get({ host: '127.0.0.1', port, path: '/', agent: false }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (text: string) => (body += text)).on('end', () => resolve({ status: response.statusCode ?? 0, body })).on('error', reject)
    }).on('error', reject)
  })
}

describe.skipIf(why !== null)('the units, under a real systemd', () => {
  test('the first request starts the service and is answered; "start" returns when a release serves', async () => {
    const { port, system } = await startService({})
    expect(system.property('gracer.service', 'ActiveState')).toBe('inactive')
    expect((await ask(port)).status).toBe(200)
    expect(system.systemctl('start', 'gracer.service')).toMatchObject({ code: 0 })
    expect(system.property('gracer.service', 'ActiveState')).toBe('active')
    for (const [name, value] of [['KillMode', 'process'], ['OOMPolicy', 'continue'], ['LimitNOFILE', '65536'], ['NotifyAccess', 'all']] as const) expect(system.property('gracer.service', name)).toBe(value)
    expect(Number(system.property('gracer.service', 'MainPID'))).toBeGreaterThan(1)
    expect(system.log()).not.toMatch(/Unknown (key|section|lvalue)/)
  }, 90_000)

  test('a restart under load refuses and loses nothing, and keeps what was confirmed', async () => {
    const { port, system } = await startService({ drain: { timeout: '10s', streams: '1s', upgraded: '1s', spread: '200ms', stop: '2s' } })
    expect((await ask(port)).status).toBe(200)
    const before = system.property('gracer.service', 'MainPID')
    const load = startLoad({ host: '127.0.0.1', port, connections: 60, rate: 150, kinds: ['fresh', 'keep-alive', 'post', 'slow'], durationMs: 120_000, requestTimeoutMs: 60_000, connectTimeoutMs: 30_000 })
    await until('the load to run', () => load.counts().requests > 150)
    const restarted = await system.systemctlBeside('restart', 'gracer.service')
    expect(restarted).toMatchObject({ code: 0 })
    const atRestart = load.counts().requests
    await until('requests through the new gracer', () => load.counts().requests > atRestart + 100, 30_000)
    const report = await load.stop()
    expect(system.property('gracer.service', 'MainPID')).not.toBe(before)
    expect(report.failures).toEqual([])
    expect({ failed: report.failed, refused: report.refused }).toEqual({ failed: 0, refused: 0 })
    expect(report.releasesSeen).toEqual(['r0'])
  }, 180_000)

  test('kill -9 of the master: workers and backends serve on, systemd starts another, which takes over; 0 refused', async () => {
    const { port, system } = await startService({})
    expect((await ask(port)).status).toBe(200)
    await until('the service to be active', () => system.property('gracer.service', 'ActiveState') === 'active', 30_000, 50)
    const before = system.property('gracer.service', 'MainPID')
    const load = startLoad({ host: '127.0.0.1', port, connections: 20, rate: 100, kinds: ['fresh', 'post'], durationMs: 60_000 })
    await until('the load to run', () => load.counts().requests > 100)
    process.kill(system.outerPid(Number(before)), 'SIGKILL')
    await until('another master', () => {
      const now = system.property('gracer.service', 'MainPID')
      return now !== '0' && now !== before && system.property('gracer.service', 'ActiveState') === 'active'
    }, 60_000, 100)
    const soFar = load.counts().requests
    await until('requests through it', () => load.counts().requests > soFar + 100, 30_000)
    const report = await load.stop()
    expect(report.failures).toEqual([])
    expect(report.refused).toBe(0)
  }, 120_000)

  test('the shipped example app is served by it as it lies there', async () => {
    const { port, system } = await startService({})
    cpSync(join(root, 'deploy', 'examples', 'hello'), join(system.folder, 'app', 'releases', 'hello'), { recursive: true })
    writeFileSync(join(system.folder, 'app', 'releases', 'hello.ready'), '')
    await until('the example to answer', async () => (await ask(port)).body.includes('version 1'), 60_000, 50)
  }, 90_000)
})
