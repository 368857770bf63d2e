import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { chmod, rename, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { identityKey } from '../../agent/drop.ts'
import { aged, atEnd, build, run, scratch, until, watched } from './support.ts'

/** A file outside of the folder, old enough for its move to be told from a creation. */
async function made(path: string, text = 'x', mode = 0o644): Promise<string> {
  writeFileSync(path, text, { mode })
  chmodSync(path, mode)
  return aged(path)
}

describe('an archive, script or program', () => {
  it('that is moved in with its checksum is announced at once, by its label', async () => {
    const root = scratch()
    const folder = join(root, 'releases')
    const { drop, watch, drops } = await watched(folder, { settleMs: 60_000, rescanMs: 600_000 })
    for (const [name, label, mode] of [['v1.tgz', 'v1', 0o644], ['v2.tar.gz', 'v2', 0o644], ['v3.tar', 'v3', 0o644], ['v4.mjs', 'v4', 0o644], ['v5', 'v5', 0o755]] as const) {
      await made(join(root, name), name, mode)
      await writeFile(join(folder, `${name}.sha256`), 'digest')
      renameSync(join(root, name), join(folder, name))
      expect(await drop(name)).toMatchObject({ path: join(folder, name), complete: 'moved', label, identity: { size: name.length } })
      expect(watch.find(label)?.identity.name).toBe(name)
      expect(watch.find(name)?.label).toBe(label)
    }
    expect(drops).toHaveLength(5)
  })

  it('that is moved in without a checksum waits a moment for one, and is taken as soon as it comes', async () => {
    const root = scratch()
    const folder = join(root, 'releases')
    const { drop } = await watched(folder, { settleMs: 800 })
    await made(join(root, 'v1.tgz'))
    await made(join(root, 'v2.tgz'))
    const began = performance.now()
    renameSync(join(root, 'v1.tgz'), join(folder, 'v1.tgz'))
    expect(await drop('v1.tgz')).toMatchObject({ complete: 'moved' })
    expect(performance.now() - began).toBeGreaterThan(750)
    const { watch } = await watched(folder, { settleMs: 60_000, rescanMs: 600_000 })
    renameSync(join(root, 'v2.tgz'), join(folder, 'v2.tgz'))
    // The second watch is far more patient: only the checksum can be what it took it for.
    await writeFile(join(folder, 'v2.tgz.sha256'), 'digest')
    await until('v2 by the patient watch', () => watch.find('v2'), 900)
  })

  it('whose checksum is required waits for it as long as it takes, and says so', async () => {
    const root = scratch()
    const folder = join(root, 'releases')
    await made(join(root, 'v0.tgz'))
    const { drop, drops, notice, watch } = await watched(folder, { settleMs: 100, checksums: 'required' })
    renameSync(join(root, 'v0.tgz'), join(folder, 'v0.tgz'))
    expect(await notice('checksum-awaited')).toMatchObject({ hint: expect.stringContaining('sha256sum v0.tgz') as string })
    build(join(folder, 'v1'))
    await drop('v1')
    expect(drops).toHaveLength(1)
    expect(watch.find('v0')).toBeNull()
    await writeFile(join(folder, 'v0.tgz.sha256'), 'digest')
    await drop('v0.tgz')
  })

  it('beside which the checksum of an older one still lies waits a moment for its own', async () => {
    const root = scratch()
    const folder = join(root, 'releases')
    const { drops } = await watched(folder, { settleMs: 60_000, rescanMs: 600_000 })
    await made(join(root, 'a.tgz'))
    await made(join(root, 'b.tgz'))
    await writeFile(join(folder, 'app.tgz.sha256'), 'digest of a')
    renameSync(join(root, 'a.tgz'), join(folder, 'app.tgz'))
    await until('a', () => drops.length === 1)
    const began = performance.now()
    renameSync(join(root, 'b.tgz'), join(folder, 'app.tgz'))
    await made(join(root, 'sum'), 'digest of b')
    renameSync(join(root, 'sum'), join(folder, 'app.tgz.sha256'))
    await until('b', () => drops.length === 2)
    expect(performance.now() - began).toBeGreaterThan(400)
    expect(new Set(drops.map((drop) => identityKey(drop.identity))).size).toBe(2)
  })

  it('is known by the inode that it had under an ignored name, as rsync and curl have it', async () => {
    const root = scratch()
    const folder = join(root, 'releases')
    const { drop } = await watched(folder, { settleMs: 500, rescanMs: 600_000 })
    await writeFile(join(folder, '.v1.tgz.Xy12'), 'x')
    await writeFile(join(folder, 'seen.tgz'), 'x')
    await writeFile(join(folder, 'seen.tgz.ready'), '')
    await drop('seen.tgz')
    await rename(join(folder, '.v1.tgz.Xy12'), join(folder, 'v1.tgz'))
    expect(await drop('v1.tgz')).toMatchObject({ complete: 'moved' })
  })

  it('that is written in place is announced when it has settled and nobody writes to it, or by its marker', async () => {
    const root = scratch()
    const folder = join(root, 'releases')
    const { drop, drops, notice } = await watched(folder, { settleMs: 200 })
    const copy = spawn('sh', ['-c', 'exec > v1.tgz; printf half; read line; printf whole', 'sh'], { cwd: folder, stdio: ['pipe', 'ignore', 'ignore'] })
    atEnd(() => void copy.stdin.end())
    expect((await notice('still-open')).message).toContain(`process ${copy.pid} `)
    expect(drops).toEqual([])
    copy.stdin.end('\n')
    await once(copy, 'close')
    // As it was found whole, not as it was first seen.
    expect(await drop('v1.tgz')).toMatchObject({ complete: 'settled', identity: { size: 9 } })
    await writeFile(join(folder, 'v2.tgz'), 'x')
    await writeFile(join(folder, 'v2.tgz.ready'), '')
    expect(await drop('v2.tgz')).toMatchObject({ complete: 'marker' })
    expect(drops).toHaveLength(2)
  })

  it('that is written over is another drop; one that is only read, or changes owner and mode, is not', async () => {
    const root = scratch()
    const folder = join(root, 'releases')
    const { drop, drops } = await watched(folder, { settleMs: 100, rescanMs: 50 })
    await writeFile(join(folder, 'app.tgz'), 'one')
    await until('first', () => drops.length === 1)
    chmodSync(join(folder, 'app.tgz'), 0o600)
    await run('cat', [join(folder, 'app.tgz')])
    await writeFile(join(folder, 'later.tgz'), 'x')
    await drop('later.tgz')
    expect(drops).toHaveLength(2)
    await writeFile(join(folder, 'app.tgz'), 'two')
    await until('second', () => drops.length === 3)
    expect(drops[2]).toMatchObject({ complete: 'settled', label: 'app' })
    // An old marker does not speak for what is written after it.
    await writeFile(join(folder, 'app.tgz.ready'), '')
    // Kernels stamp by a clock that ticks every 1 to 10 ms.
    await aged(join(folder, 'app.tgz.ready'), 30)
    await writeFile(join(folder, 'app.tgz'), 'three')
    await until('third', () => drops.length === 4)
    expect(drops[3]).toMatchObject({ complete: 'settled', identity: { size: 5 } })
    expect(new Set(drops.map((one) => identityKey(one.identity))).size).toBe(4)
  })

  it('has the same identity for the next watch, and is listed by it, not announced', async () => {
    const root = scratch()
    const folder = join(root, 'releases')
    const first = await watched(folder, { settleMs: 50 })
    await writeFile(join(folder, 'app.tgz'), 'one')
    const announced = await first.drop('app.tgz')
    await first.watch.close()
    await chmod(join(folder, 'app.tgz'), 0o600)
    await until('the chmod is old enough', () => Date.now() - statSync(join(folder, 'app.tgz')).ctimeMs > 200)
    const second = await watched(folder, { settleMs: 50 })
    expect(identityKey(second.watch.newest()!.identity)).toBe(identityKey(announced.identity))
    expect(second.drops).toEqual([])
  })

  it('that is written anew all the time is let alone in the end, and says so', async () => {
    const root = scratch()
    const folder = join(root, 'releases')
    const { drops, notices, notice } = await watched(folder, { settleMs: 60, rescanMs: 20 })
    const path = join(folder, 'data.js')
    for (let i = 0; !notices.some(({ code }) => code === 'keeps-changing'); i += 1) {
      const before = drops.length
      await writeFile(path, 'x'.repeat(i + 1))
      await until('it is taken, or let alone', () => drops.length > before || notices.some(({ code }) => code === 'keeps-changing'))
    }
    await notice('keeps-changing')
    expect(drops).toHaveLength(4)
  })
})

describe('a file that is no build', () => {
  it('is told of once, with what to do, and is taken when that is done', async () => {
    const root = scratch()
    const folder = join(root, 'releases')
    const { drop, drops, notice, notices } = await watched(folder, { settleMs: 100, rescanMs: 50 })
    await writeFile(join(folder, 'prog'), 'x')
    expect(await notice('file-ignored')).toMatchObject({ message: expect.stringContaining('has no x bit') as string, hint: expect.stringContaining('chmod +x prog') as string })
    await writeFile(join(folder, 'b.zip'), 'x')
    await until('the zip', () => notices.find(({ message }) => message.includes('b.zip is packed in a way')))
    await symlink('prog', join(folder, 'link.tgz'))
    await notice('symlink-refused')
    expect(drops).toEqual([])
    await chmod(join(folder, 'prog'), 0o755)
    expect(await drop('prog')).toMatchObject({ complete: 'settled' })
    expect(notices).toHaveLength(3)
  })
})
