import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tar, tgz } from '../builds/tar-bytes.ts'
import { appsFolder } from '../load/make-release.ts'
import { startLoad, type Load } from '../load/load.ts'
import { until } from '../support/deadline.ts'
import { firstRelease, stageRelease } from '../support/drop.ts'
import { GracerProcess } from '../support/gracer-process.ts'
import { explain } from './observe.ts'

const config = { command: null, bake: '200ms', settle: '300ms', drain: { upgraded: '500ms', spread: '200ms' } }

let gracer: GracerProcess
let load: Load
beforeAll(async () => {
  gracer = await GracerProcess.startWith({ workers: 2, config }, (one) => firstRelease(one, 'r0'))
  load = startLoad({ host: '127.0.0.1', port: gracer.port, connections: 105, rate: 200, durationMs: 600_000 })
  await until('the load to run', () => load.counts().requests > 200)
}, 60_000)
afterAll(async () => {
  await gracer.end()
})

const copies = (): string[] => readdirSync(join(gracer.folder, '.gracer', 'services', 'default', 'builds')).sort()

async function staged(name: string): Promise<string> {
  return (await stageRelease(gracer, name)).replace(/\/$/, '')
}

async function swapped(path: string, label: string): Promise<void> {
  const { code, stderr } = await gracer.swap(path)
  expect(code, stderr).toBe(0)
  await gracer.live(label)
}

/** A single script that is the strict load's app, and says by itself which release it is. */
function script(name: string, text: string, mode = 0o644): string {
  const path = join(gracer.folder, 'staging', name)
  writeFileSync(path, text, { mode })
  return path
}

describe('under the strict load', () => {
  it('a .tgz with one folder in it, a .tar.gz and a .tar are unpacked and swapped', async () => {
    for (const [name, flags] of [['a1.tgz', '-czf'], ['a2.tar.gz', '-czf'], ['a3.tar', '-cf']] as const) {
      const label = name.split('.')[0] ?? ''
      await staged(label)
      const path = join(gracer.folder, 'staging', name)
      execFileSync('tar', ['-C', join(gracer.folder, 'staging'), flags, path, label])
      await swapped(path, label)
    }
    // What was there when it was taken in is what runs, whatever becomes of the archive.
    expect((await explain(gracer, 'a1')).story.map(({ what }) => what).join('\n')).toContain(`sha256 ${createHash('sha256').update(readFileSync(join(gracer.folder, 'staging', 'a1.tgz'))).digest('hex')}`)
  }, 120_000)

  it('a single script, and a program that runs by itself, are swapped', async () => {
    await swapped(script('s1.mjs', `process.chdir(${JSON.stringify(await staged('s1'))})\nawait import(${JSON.stringify(join(appsFolder, 'load-app.mjs'))})\n`), 's1')
    const s2 = await staged('s2')
    await swapped(script('s2-program', `#!/bin/sh\ncd ${s2} && exec node server.mjs\n`, 0o755), 's2-program')
  }, 120_000)

  it('nothing was lost', async () => {
    const report = await load.stop()
    expect(report.failures).toEqual([])
    expect({ failed: report.failed, refused: report.refused, stale: report.staleAfterFlip() }).toEqual({ failed: 0, refused: 0, stale: [] })
    expect(report.releasesSeen.length).toBeGreaterThanOrEqual(6)
    const { lost, violations } = await gracer.status()
    expect({ lost, violations }).toEqual({ lost: 0, violations: 0 })
  })
})

it('a restart and a rollback take the private copies, when the archives are gone', async () => {
  for (const name of ['a1.tgz', 'a2.tar.gz', 'a3.tar']) rmSync(join(gracer.folder, 'staging', name))
  const restart = await gracer.cli('restart')
  expect(restart.code, restart.stderr).toBe(0)
  const back = await gracer.cli('rollback', 'a2')
  expect(back.code, back.stderr).toBe(0)
  await gracer.live('a2')
}, 120_000)

describe('what is refused leaves nothing behind, and what is live as it is', () => {
  const refused = async (path: string, says: string | RegExp): Promise<void> => {
    const before = copies()
    const { code, outcome, stderr } = await gracer.swap(path)
    expect(code).toBe(1)
    expect(outcome?.message ?? stderr).toMatch(says)
    expect(copies()).toEqual(before)
  }

  it('a malicious archive, a damaged one, and one whose digest is another', async () => {
    const at = (name: string): string => join(gracer.folder, 'staging', name)
    const live = (await gracer.status()).services[0]?.live
    writeFileSync(at('evil.tgz'), tgz([{ path: 'server.mjs', body: 'x' }, { path: '../evil', body: 'x' }]))
    await refused(at('evil.tgz'), /leads out of the folder/)
    writeFileSync(at('cut.tar'), tar([{ path: 'server.mjs', body: 'x' }]).subarray(0, 1024))
    await refused(at('cut.tar'), /without the mark/)
    const good = tgz([{ path: 'server.mjs', body: 'x' }])
    const [wrong, right] = ['a'.repeat(64), createHash('sha256').update(good).digest('hex')]
    writeFileSync(at('m1.tgz'), good)
    writeFileSync(at('m1.tgz.sha256'), `${wrong}  m1.tgz\n`)
    await refused(at('m1.tgz'), new RegExp(`has sha256 ${right}, and m1.tgz.sha256 says ${wrong}`))
    expect(existsSync(at('evil'))).toBe(false)
    expect((await gracer.status()).services[0]?.live).toBe(live)
  }, 60_000)

  it('a file that cannot be run is refused with what to do', async () => {
    expect(await gracer.cli('swap', script('prog', 'x'))).toMatchObject({ code: 2, stderr: expect.stringContaining('chmod +x prog') as string })
    mkdirSync(join(gracer.folder, 'staging', 'zips'))
    expect(await gracer.cli('swap', script('zips/b.zip', 'x'))).toMatchObject({ code: 2, stderr: expect.stringContaining('unpack it elsewhere') as string })
  }, 60_000)
})
