import { execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { dropKinds, dropsUnderLoad } from '../bench/builds-under-load.ts'
import { nothingLost } from '../bench/prove-builds.ts'
import { tar, tgz } from '../builds/tar-bytes.ts'
import type { Behaviour } from '../load/make-release.ts'
import { until } from '../support/deadline.ts'
import { dropRelease, firstRelease, stageRelease } from '../support/drop.ts'
import { GracerProcess } from '../support/gracer-process.ts'
import { explain, receipts, releaseStatus } from './observe.ts'

const config = { command: null, bake: '200ms', settle: '300ms', keep: 1, builds: { size: '1MB', files: 20 }, drain: { upgraded: '500ms', spread: '200ms' } }

it('every kind of build is dropped under the strict load, and nothing is lost (npm run prove -- builds has it at full size)', async () => {
  const result = await dropsUnderLoad({ rounds: 1, workers: 2, connections: 105, rate: 200, config: { bake: '200ms', settle: '300ms', drain: { upgraded: '500ms', spread: '200ms' } } })
  expect(result.report.failures).toEqual([])
  expect({ lost: result.lost, violations: result.violations, stale: result.stale }).toEqual({ lost: 0, violations: 0, stale: [] })
  expect(Object.keys(result.kinds)).toEqual(Object.keys(dropKinds))
  expect(nothingLost(result)).toBe(true)
}, 120_000)

describe('in the releases folder', () => {
  let gracer: GracerProcess
  beforeAll(async () => {
    gracer = await GracerProcess.startWith({ config }, (one) => firstRelease(one, 'r0'))
  }, 30_000)
  afterAll(async () => {
    await gracer.end()
  })

  const copies = (): string[] => readdirSync(join(gracer.folder, '.gracer', 'services', 'default', 'builds')).sort()
  const at = (name: string): string => join(gracer.releases, name)
  const waiting = async (): Promise<string | null> => (await gracer.status()).services[0]?.waiting ?? null
  /** Written in place, and marked: what comes of it has nothing to do with how it came. */
  const drop = (name: string, content: string | Buffer, mode = 0o644): void => {
    writeFileSync(at(name), content, { mode })
    writeFileSync(at(`${name}.ready`), '')
  }
  const packed = async (name: string, behaviour?: Behaviour): Promise<Buffer> => {
    await stageRelease(gracer, name, behaviour === undefined ? {} : { behaviour })
    return execFileSync('tar', ['-C', join(gracer.folder, 'staging'), '-cz', name])
  }

  it('malicious and damaged archives are refused whole: the reason in status, explain and history, nothing on disk, and never again by themselves', async () => {
    const whole = await packed('whole')
    const [before, r0] = [copies(), (await gracer.status()).services[0]?.live]
    const bad: readonly (readonly [label: string, bytes: Buffer, says: RegExp])[] = [
      ['climbs', tgz([{ path: 'a/server.mjs', body: 'x' }, { path: '../evil', body: 'x' }]), /leads out of the folder/],
      ['absolute', tgz([{ path: '/tmp/evil', body: 'x' }]), /is an absolute path/],
      ['through-link', tgz([{ path: 'link', type: '2', link: '..' }, { path: 'link/evil', body: 'x' }]), /leads out of the folder|lies below/],
      ['device', tar([{ path: 'server.mjs', body: 'x' }, { path: 'dev', type: '3' }]), /is a device/],
      ['bomb', gzipSync(Buffer.alloc(8_000_000)), /holds more than|no tar archive/],
      ['too-many', tgz(Array.from({ length: 30 }, (_, i) => ({ path: `f${i}`, body: 'x' }))), /more than 20 files and folders.*builds\.files/],
      ['too-large', tgz([{ path: 'big', body: Buffer.alloc(1_200_000) }]), /more than .* MiB|more than .* KiB/],
      ['cut', whole.subarray(0, whole.length - 20), /ends in the middle/],
      ['noise', Buffer.alloc(4_000, 'noise'), /no tar archive/],
    ]
    for (const [label, bytes, says] of bad) {
      drop(`${label}.tgz`, bytes)
      const receipt = await until(`${label} to be refused`, async () => (await receipts(gracer)).find(({ name }) => name === label))
      expect((await explain(gracer, label)).failure?.message, label).toMatch(says)
      expect(receipt, label).toMatchObject({ outcome: 'failed', reason: expect.stringMatching(says) as string })
      expect(await releaseStatus(gracer, label), label).toMatchObject({ state: 'failed', pid: null })
    }
    expect(copies()).toEqual(before)
    expect([join(gracer.folder, 'evil'), at('evil'), '/tmp/evil'].filter((path) => existsSync(path))).toEqual([])
    expect((await gracer.status()).services[0]?.live).toBe(r0)
    // The next agent finds them all lying there, and tries none.
    const agentPid = (): number | undefined => (JSON.parse(readFileSync(join(gracer.folder, '.gracer', 'processes.json'), 'utf8')) as { agent: { pid: number } | null }).agent?.pid
    const pid = agentPid() ?? 0
    process.kill(pid, 'SIGKILL')
    const path = await stageRelease(gracer, 'after')
    await until('another agent', () => ![undefined, pid].includes(agentPid()))
    await until('the agent to answer', () => gracer.status().catch(() => null), 15_000)
    renameSync(path, at('after'))
    await gracer.live('after')
    expect((await releaseStatus(gracer, 'after'))?.id).toBe(`v${bad.length + 2}`)
  }, 90_000)

  it('an archive whose checksum says otherwise is refused, however late it came; named in a command it is tried again', async () => {
    const good = await packed('sum1')
    const digest = createHash('sha256').update(good).digest('hex')
    writeFileSync(join(gracer.folder, 'staging', 'sum1.tgz'), good)
    const aside = join(gracer.folder, 'staging', 'sum1.tgz')
    await until('the archive to be old enough', () => Date.now() - statSync(aside).birthtimeMs > 300)
    renameSync(aside, at('sum1.tgz'))
    writeFileSync(at('sum1.tgz.sha256'), `${'a'.repeat(64)}  sum1.tgz\n`)
    const refused = await until('it to be refused', async () => (await receipts(gracer)).find(({ name }) => name === 'sum1'))
    expect(refused.reason).toContain(`has sha256 ${digest}, and sum1.tgz.sha256 says`)
    writeFileSync(at('sum1.tgz.sha256'), `${digest}  sum1.tgz\n`)
    const again = await gracer.cli('swap', 'sum1')
    expect(again.code, again.stderr).toBe(0)
  }, 60_000)

  it('a drop that comes during a swap waits in the slot, the newest wins, and it is what is live at last', async () => {
    await dropRelease(gracer, 'slow', { behaviour: { listenAfterMs: 4_000 } })
    await until('slow to boot', async () => (await releaseStatus(gracer, 'slow'))?.state === 'booting')
    const [first, second] = [await packed('slot1'), await packed('slot2')]
    drop('slot1.tgz', first)
    await until('slot1 to wait', async () => (await waiting()) === 'slot1')
    drop('slot2.tar.gz', second)
    await until('slot2 to wait', async () => (await waiting()) === 'slot2')
    await gracer.live('slot2')
    const superseded = await gracer.cli('explain', 'slot1')
    expect(superseded.stderr).toContain('a newer drop took its place')
  }, 60_000)

  it('old archives go with their checksum and marker, and the way back is the private copy; one that is being written over stays', async () => {
    const writer = spawn('sh', ['-c', 'exec >> sum1.tgz; printf more; echo open >&2; read line'], { cwd: gracer.releases, stdio: ['pipe', 'ignore', 'pipe'] })
    await once(writer.stderr, 'data')
    drop('k1.tgz', await packed('k1'))
    await gracer.live('k1')
    drop('k2.tgz', await packed('k2'))
    await gracer.live('k2')
    drop('k3.tgz', await packed('k3'))
    await gracer.live('k3')
    await until('slot2 to be pruned', () => !existsSync(at('slot2.tar.gz')) && !existsSync(at('slot2.tar.gz.ready')))
    expect(['k1.tgz', 'k2.tgz', 'sum1.tgz'].map((name) => existsSync(at(name)))).toEqual([true, true, true])
    writer.stdin.end('\n')
    const back = await gracer.cli('rollback')
    expect(back.code, back.stderr).toBe(0)
    await gracer.live('k2')
  }, 60_000)
})
