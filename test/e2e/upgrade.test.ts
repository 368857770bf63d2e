import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { upgradesUnderLoad } from '../bench/upgrades-under-load.ts'
import { until } from '../support/deadline.ts'
import { dropRelease } from '../support/drop.ts'
import type { GracerProcess } from '../support/gracer-process.ts'
import { change, makeInstallation, removeInstallations } from '../support/installation.ts'
import { endAll, get, pidsOf, signal, start } from './kill-support.ts'

afterEach(async () => {
  await endAll()
  removeInstallations()
})

async function upgrade(gracer: GracerProcess, from: string): Promise<{ code: number | null; out: string }> {
  const { code, stdout, stderr } = await gracer.cli('upgrade', '--from', from)
  return { code, out: stdout + stderr }
}

describe('gracer upgrade', () => {
  test('loses nothing under load, WebSockets open, and the port and the control socket are always there', async () => {
    const config = { drain: { timeout: '10s', streams: '2s', upgraded: '1s', spread: '200ms', stop: '1s' }, limits: { idle: '3s' } }
    const result = await upgradesUnderLoad({ upgrades: 3, workers: 2, connections: 120, rate: 250, config })
    expect(result.report.failures).toEqual([])
    expect({ failed: result.report.failed, refused: result.report.refused, lost: result.lost, violations: result.violations }).toEqual({ failed: 0, refused: 0, lost: 0, violations: 0 })
    expect(result.replaced).toEqual(Array(3).fill({ master: true, workers: true, agent: true }))
    expect(result.looks).toBeGreaterThan(100)
    expect(result.missing).toBe(0)
  }, 120_000)

  test('goes on with the new version: what crashes is started from it, swaps work, the old workers end', async () => {
    const gracer = await start({ limits: { idle: '1s' }, bake: '100ms' })
    const before = await gracer.status()
    const done = await upgrade(gracer, makeInstallation('9.1.0'))
    expect(done.out).toContain('r0 is live; gracer 9.1.0 runs (before: 0.1.0): 1 worker and the agent replaced')
    expect(done.out).not.toContain('its code has changed')
    expect(done.code).toBe(0)
    expect(await gracer.status()).toMatchObject({ version: '9.1.0', proxy: { pid: before.proxy.pid, version: '0.1.0' } })
    await until('the old worker to have left', () => pidsOf(gracer, 'worker').length === 1)
    const { agent, proxy } = await gracer.status()
    signal(agent.pid, 'SIGKILL')
    signal(proxy.workers[0] ?? 0, 'SIGKILL')
    const again = await until('agent and worker to be back', async () => {
      const status = await gracer.status().catch(() => null)
      return status !== null && status.agent.pid !== agent.pid && status.proxy.workers.length === 1 && status.proxy.workers[0] !== proxy.workers[0] ? status : null
    })
    expect(again.version).toBe('9.1.0')
    await dropRelease(gracer, 'r1')
    await gracer.live('r1')
    expect((await get(gracer)).status).toBe(200)
    // What goes on is called by its own version, and not by the master's.
    expect((await upgrade(gracer, makeInstallation('9.1.1'))).out).toContain('from 9.1.0 to 9.1.1: new workers')
  }, 60_000)

  test('says when the master is another one, and how it is started again', async () => {
    const gracer = await start({})
    const next = makeInstallation('9.2.0')
    change(next, 'proxy/master/master.js', 'import ', '// another master\nimport ')
    const done = await upgrade(gracer, next)
    expect(done.code).toBe(0)
    expect(done.out).toContain(`the master (pid ${gracer.pid}) stays 0.1.0, and its code has changed`)
    expect(done.out).toContain('systemctl restart gracer')
  }, 60_000)

  test.each([
    ['a worker that cannot start', 'proxy/worker/main.js', 'import ', 'throw new Error("no worker today")\nimport ', 'workers did not come up', 1],
    ['an agent that cannot load', 'agent/main.js', 'import ', 'throw new Error("no agent today")\nimport ', 'agent did not come up: it exited with code 1', 1],
    ['an agent that ends as soon as it has its turn', 'agent/main.js', 'const link =', 'process.on("message", () => process.exit(7))\nconst link =', 'agent did not come up: it exited with code 7', 1],
    ['another protocol of the worker', 'proxy/worker/worker.js', 'protocol: protocolVersion', 'protocol: 999', "it speaks version 999 of gracer's own protocol", 1],
    ['another protocol of the agent', 'agent/main.js', 'protocol: protocolVersion', 'protocol: 999', "speaks version 999 of gracer's own protocol", 1],
  ])('rolls back where the new version has %s; the old one serves on, and the next upgrade works', async (_what, file, from, to, says, code) => {
    const gracer = await start({ limits: { idle: '1s' } })
    const before = await gracer.status()
    const bad = makeInstallation('9.3.0')
    change(bad, file, from, to)
    const failed = await upgrade(gracer, bad)
    expect(failed.out).toContain(says)
    expect(failed.out).toContain('r0 is live; gracer 0.1.0 goes on')
    expect(failed.code).toBe(code)
    const after = await gracer.status()
    expect(after.version).toBe('0.1.0')
    expect(after.proxy.workers).toEqual(before.proxy.workers)
    await until('only the old workers to be there', () => pidsOf(gracer, 'worker').join() === before.proxy.workers.join())
    expect((await get(gracer)).status).toBe(200)
    const good = await upgrade(gracer, makeInstallation('9.3.1'))
    expect(good).toMatchObject({ code: 0 })
    expect((await gracer.status()).version).toBe('9.3.1')
  }, 60_000)

  test('refuses what is no whole installation, and changes nothing', async () => {
    const gracer = await start({})
    const half = makeInstallation('9.4.0')
    rmSync(join(half, 'dist', 'agent', 'main.js'))
    const before = await gracer.status()
    const refused = await upgrade(gracer, half)
    expect(refused.out).toContain('it was not built, or only half installed')
    expect(refused.code).toBe(2)
    expect((await upgrade(gracer, '/nowhere')).code).toBe(2)
    expect((await gracer.status()).proxy.workers).toEqual(before.proxy.workers)
  }, 30_000)

  test('an agent killed in the middle of it changes nothing about its end', async () => {
    const gracer = await start({ limits: { idle: '1s' } })
    const next = makeInstallation('9.5.0')
    const running = upgrade(gracer, next)
    const events = (): string[] => gracer.gracerLog().map((line) => line.event)
    await until('the upgrade to have begun', () => events().includes('upgrade.begun'))
    signal((await gracer.status().catch(() => null))?.agent.pid ?? pidsOf(gracer, 'agent')[0] ?? 0, 'SIGKILL')
    const { code, out } = await running
    expect([0, 1], out).toContain(code)
    await until('the upgrade to have ended', () => events().some((event) => event === 'upgrade.done' || event === 'upgrade.failed'))
    expect((await get(gracer)).status).toBe(200)
    await until('one agent and one worker', () => pidsOf(gracer, 'agent').length === 1 && pidsOf(gracer, 'worker').length === 1)
  }, 60_000)

  test('a second one meanwhile is busy; Ctrl-C of gracer in the middle leaves no process', async () => {
    const gracer = await start({})
    const other = makeInstallation('9.6.1')
    const first = upgrade(gracer, makeInstallation('9.6.0'))
    await until('the upgrade to have begun', () => gracer.gracerLog().some((line) => line.event === 'upgrade.begun'))
    const second = JSON.parse(await gracer.control('POST', '/v1/upgrade', { root: other })) as { error?: { code: string; exitCode: number } }
    expect(second.error).toMatchObject({ code: 'busy', exitCode: 4 })
    expect((await first).code).toBe(0)
    const cut = upgrade(gracer, makeInstallation('9.6.2'))
    await until('the upgrade to have begun', () => gracer.gracerLog().filter((line) => line.event === 'upgrade.begun').length === 2)
    expect(await gracer.end()).toBe(0)
    await cut
    expect(pidsOf(gracer, 'worker')).toEqual([])
    expect(pidsOf(gracer, 'agent')).toEqual([])
  }, 60_000)
})

describe('a package that was replaced under a running gracer', () => {
  test('and speaks otherwise is not used: what runs serves on and the log says what to do', async () => {
    const own = makeInstallation('9.7.0')
    const gracer = await start({}, { workers: 2 })
    expect((await upgrade(gracer, own)).code).toBe(0)
    change(own, 'proxy/worker/worker.js', 'protocol: protocolVersion', 'protocol: 999')
    const { proxy } = await gracer.status()
    signal(proxy.workers[0] ?? 0, 'SIGKILL')
    await until('a worker to be refused', () => gracer.gracerLog().some((line) => line.event === 'worker.replaced' && String(line['why']).includes('speaks version 999')))
    for (let number = 0; number < 20; number += 1) expect((await get(gracer)).status).toBe(200)
  }, 60_000)
})
