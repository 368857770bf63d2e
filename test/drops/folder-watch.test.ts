import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, realpathSync, renameSync } from 'node:fs'
import { chmod, mkdir, readdir, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { identityKey } from '../../agent/drop.ts'
import { readDrop, watchReleases } from '../../agent/drops/folder-watch.ts'
import { openHints } from '../../agent/drops/hints.ts'
import { aged, atEnd, build, run, scratch, until, watched } from './support.ts'

describe('a build that is moved in', () => {
  it('is announced at once, under its real path, and once', async () => {
    const root = scratch()
    const folder = join(root, 'releases')
    const { watch, drops, drop } = await watched(folder, { settleMs: 60_000 })
    await aged(build(join(root, 'v1')))
    await run('mv', [join(root, 'v1'), folder])
    const v1 = await drop('v1')
    expect(v1).toMatchObject({ path: join(realpathSync(folder), 'v1'), complete: 'moved' })
    await aged(build(join(root, 'v2')))
    await run('mv', [join(root, 'v2'), folder])
    await drop('v2')
    expect(drops.map((each) => each.identity.name)).toEqual(['v1', 'v2'])
    expect(watch.list()).toEqual(drops)
    expect(watch.newest()).toBe(drops[1])
    expect(watch.find('v1')).toBe(drops[0])
    expect(watch.find('v3')).toBe(null)
  })

  it('takes about a millisecond from the rename to the announcement', async () => {
    const root = scratch()
    const folder = join(root, 'releases')
    let arrived = 0
    const { drop } = await watched(folder, { settleMs: 60_000, onDrop: () => { arrived = performance.now() } })
    const builds: string[] = []
    for (let i = 0; i < 41; i += 1) builds.push(build(join(root, `v${i}`), 1))
    await aged(builds.at(-1) as string)
    const took: number[] = []
    for (const [i, path] of builds.entries()) {
      const began = performance.now()
      renameSync(path, join(folder, `v${i}`))
      await drop(`v${i}`)
      took.push(arrived - began)
    }
    const median = took.sort((a, b) => a - b)[20] as number
    // About 1 ms on an idle machine; the promise is 10.
    expect(median).toBeLessThan(10)
  })

  it('is known by the inode that it had under an ignored name, however young it is', async () => {
    const root = scratch()
    const folder = join(root, 'releases')
    const { drop, watch } = await watched(folder, { settleMs: 60_000 })
    for (const [hidden, name] of [['.v1', 'v1'], ['v2.tmp', 'v2'], ['v3.part', 'v3']] as const) {
      await mkdir(join(folder, hidden))
      // The watch looks at the ignored name before the rename: a second name shows that the reading is over.
      build(join(folder, `${name}-seen`))
      await writeFile(join(folder, `${name}-seen.ready`), '')
      await drop(`${name}-seen`)
      await rename(join(folder, hidden), join(folder, name))
      expect(await drop(name)).toMatchObject({ complete: 'moved' })
    }
    expect(watch.list()).toHaveLength(6)
  })

  it('is another drop when it replaces one of the same name, and when it is moved out and in again', async () => {
    const root = scratch()
    const folder = join(root, 'releases')
    const { watch, drops } = await watched(folder, { settleMs: 60_000 })
    build(join(root, 'a'))
    await aged(build(join(root, 'b')))
    renameSync(join(root, 'a'), join(folder, 'v1'))
    await until('first', () => drops.length === 1)
    await rm(join(folder, 'v1'), { recursive: true })
    renameSync(join(root, 'b'), join(folder, 'v1'))
    await until('second', () => drops.length === 2)
    renameSync(join(folder, 'v1'), join(root, 'b'))
    await until('gone', () => watch.find('v1') === null)
    renameSync(join(root, 'b'), join(folder, 'v1'))
    await until('third', () => drops.length === 3)
    expect(new Set(drops.map((drop) => identityKey(drop.identity))).size).toBe(3)
  })

  it('is not confused with one made in place while our event loop stood still', async () => {
    const root = scratch()
    const folder = join(root, 'releases')
    const { drop } = await watched(folder, { settleMs: 300 })
    // Blocks this process: the event is delivered 600 ms after the birth.
    execFileSync('sh', ['-c', 'mkdir v1; sleep 0.6; touch v1/late'], { cwd: folder })
    expect(await drop('v1')).toMatchObject({ complete: 'settled' })
  })
})

describe('a build that is copied in place', () => {
  it('is announced when it has settled, and not while the copy goes on', async () => {
    const root = scratch()
    const folder = join(root, 'releases')
    let sawFiles = 0
    const { drop, drops } = await watched(folder, { settleMs: 400, onDrop: ({ path }) => { sawFiles = readdirSync(path).length } })
    const copy = spawn(process.execPath, ['-e', `
      const fs = require('node:fs')
      const dir = process.argv[1]
      fs.mkdirSync(dir)
      let n = 0
      const timer = setInterval(() => {
        fs.writeFileSync(dir + '/' + n, 'x'.repeat(1000))
        n += 1
        if (n === 20) { clearInterval(timer); console.log(Date.now()) }
      }, 60)`, join(folder, 'v1')])
    const [done] = await once(copy.stdout, 'data') as [Buffer]
    const v1 = await drop('v1')
    expect(v1.complete).toBe('settled')
    expect(sawFiles).toBe(20)
    expect(v1.noticedAt - Number(done.toString())).toBeGreaterThanOrEqual(390)
    expect(drops).toHaveLength(1)
  })

  it('by cp -r and by tar is announced once each', async () => {
    const root = scratch()
    const folder = join(root, 'releases')
    const { drop, drops } = await watched(folder)
    const source = build(join(root, 'build'), 30)
    await run('cp', ['-r', source, join(folder, 'v1')])
    await run('tar', ['cf', join(root, 'b.tar'), '-C', source, '.'])
    await mkdir(join(folder, 'v2'))
    await run('tar', ['xf', join(root, 'b.tar'), '-C', join(folder, 'v2')])
    expect(await drop('v1')).toMatchObject({ complete: 'settled' })
    expect(await drop('v2')).toMatchObject({ complete: 'settled' })
    expect(drops).toHaveLength(2)
  })

  it('is not announced while a process has a file of it open or works in it, and says who it is', async () => {
    const root = scratch()
    const folder = join(root, 'releases')
    const { drop, drops, notice } = await watched(folder, { settleMs: 200 })
    const copy = spawn(process.execPath, ['-e', `
      const fs = require('node:fs')
      fs.mkdirSync(process.argv[1])
      const fd = fs.openSync(process.argv[1] + '/half', 'w')
      fs.writeSync(fd, 'half')
      process.stdin.once('data', () => { fs.writeSync(fd, 'whole'); fs.closeSync(fd); console.log('closed') })
      process.stdin.once('end', () => process.exit())`, join(folder, 'v1')])
    atEnd(() => void copy.stdin.end())
    expect((await notice('still-open')).message).toContain(`process ${copy.pid} `)
    expect(drops).toEqual([])
    copy.stdin.write('go')
    await once(copy.stdout, 'data')
    expect(await drop('v1')).toMatchObject({ complete: 'settled' })
  })

  it('is announced at once by its marker', async () => {
    const root = scratch()
    const folder = join(root, 'releases')
    const { drop } = await watched(folder, { settleMs: 60_000 })
    build(join(folder, 'v1'))
    await writeFile(join(folder, 'v1.ready'), '')
    expect(await drop('v1')).toMatchObject({ complete: 'marker' })
  })

  it('is not announced by a marker that an older build of its name left behind', async () => {
    const root = scratch()
    const folder = join(root, 'releases')
    const { drop, drops, notice } = await watched(folder, { settleMs: 400 })
    await writeFile(join(folder, 'v1.ready'), '')
    await aged(join(folder, 'v1.ready'), 20)
    build(join(folder, 'v1'))
    await notice('marker-stale')
    expect(drops).toEqual([])
    expect(await drop('v1')).toMatchObject({ complete: 'settled' })
  })

  it('is a new drop when it changes after it seemed whole, but not when the release itself did it', async () => {
    const root = scratch()
    const folder = join(root, 'releases')
    const { watch, drops } = await watched(folder, { settleMs: 150 })
    const path = build(join(folder, 'v1'))
    await until('guessed', () => drops.length === 1)
    watch.setRunning(path, true)
    await writeFile(join(path, 'server.pid'), '1')
    watch.setRunning(path, false)
    build(join(folder, 'v2'))
    await until('v2, which settles later', () => drops.length === 2)
    expect(drops[1]?.identity.name).toBe('v2')
    await writeFile(join(path, 'lib', 'rest.mjs'), 'the rest of it')
    await until('v1 again', () => drops.length === 3)
    expect(drops[2]).toMatchObject({ path, complete: 'settled' })
    expect(identityKey(drops[2]!.identity)).not.toBe(identityKey(drops[0]!.identity))
  })

  it('is a new drop when its marker is touched anew', async () => {
    const root = scratch()
    const folder = join(root, 'releases')
    const { drops } = await watched(folder, { settleMs: 100, rescanMs: 600_000 })
    build(join(folder, 'v1'))
    await writeFile(join(folder, 'v1.ready'), '')
    await until('marked', () => drops.length === 1)
    await aged(join(folder, 'v1.ready'), 300)
    await utimes(join(folder, 'v1.ready'), new Date(), new Date())
    await until('marked again', () => drops.length === 2)
    expect(drops.map((drop) => drop.complete)).toEqual(['marker', 'marker'])
  })
})

describe('the symlink current', () => {
  it('is the drop when it is moved, to and fro, also to a folder elsewhere', async () => {
    const root = scratch()
    const folder = join(root, 'releases')
    build(join(root, 'builds', 'a'))
    build(join(root, 'builds', 'b'))
    const { watch, drops } = await watched(folder, { settleMs: 60_000 })
    for (const [i, name] of ['a', 'b', 'a'].entries()) {
      await run('ln', ['-sfn', `../builds/${name}`, join(folder, 'current')])
      await until(`move ${i}`, () => drops.length === i + 1)
      expect(drops[i]).toMatchObject({ path: join(root, 'builds', name), complete: 'moved', identity: { name } })
      expect(watch.current()).toBe(drops[i])
      expect(watch.newest()).toBe(drops[i])
      expect(watch.find(name)).toBe(drops[i])
    }
    expect(new Set(drops.map((drop) => identityKey(drop.identity))).size).toBe(3)
  })

  it('decides alone while it stands: folders beside it are listed and not announced', async () => {
    const root = scratch()
    const folder = join(root, 'releases')
    build(join(folder, 'v1'))
    await symlink('v1', join(folder, 'current'))
    const { watch, drops, notice, names } = await watched(folder, { settleMs: 200 })
    expect(watch.current()).toMatchObject({ complete: 'initial', identity: { name: 'v1' } })
    build(join(folder, 'v2'))
    expect((await notice('current-decides')).message).toContain('v2')
    expect(drops).toEqual([])
    expect(watch.find('v2')).not.toBe(null)
    expect(watch.newest()?.identity.name).toBe('v1')
    await run('ln', ['-sfn', 'v2', join(folder, 'current')])
    await until('moved', () => names().join() === 'v2')
  })

  it('is told of when it leads nowhere, and what appears there later is no move', async () => {
    const root = scratch()
    const folder = join(root, 'releases')
    const { watch, drops, notice } = await watched(folder, { settleMs: 100, rescanMs: 50 })
    await symlink('../later', join(folder, 'current'))
    expect((await notice('current-dangling')).message).toContain('leads nowhere')
    build(join(root, 'later'))
    build(join(folder, 'v1'))
    await notice('current-decides')
    expect(drops).toEqual([])
    expect(watch.current()).toBe(null)
    await run('ln', ['-sfn', '../later', join(folder, 'current')])
    await until('moved', () => drops.length === 1)
  })
})

describe('what is not taken', () => {
  it('is told with the reason: files, other symlinks, devices and the like, bad names', async () => {
    const root = scratch()
    const folder = join(root, 'releases')
    const { notices, drops, notice } = await watched(folder, { settleMs: 100 })
    await writeFile(join(folder, 'notes.txt'), 'x')
    await symlink('/etc', join(folder, 'link'))
    await run('mkfifo', [join(folder, 'fifo')])
    await mkdir(join(folder, 'a\u001b[2J b'))
    await mkdir(join(folder, 'current'))
    for (const code of ['file-ignored', 'symlink-refused', 'special-refused', 'name-refused', 'current-refused'] as const) {
      const told = await notice(code)
      expect(told.message).toMatch(/^[\x20-\x7e]+$/)
      expect(told.hint).not.toBe('')
    }
    for (const name of ['.hidden', 'v2.tmp', 'v3.part', 'v4.sha256', 'v5.ready']) await writeFile(join(folder, name), '')
    build(join(folder, 'last'))
    await until('last', () => drops.length === 1)
    expect(notices).toHaveLength(5)
  })

  it('holds for a thousand odd names: none is announced that the contract does not allow, and each other one is told of', async () => {
    const root = scratch()
    const folder = join(root, 'releases')
    const { notices, names } = await watched(folder, { settleMs: 100 })
    const alphabet = ['a', 'Z', '0', '.', '-', '_', ' ', '\n', '\u001b', 'é', '\u202e', '"', '\\', '~', '日', '$', '*']
    const odd = new Set<string>()
    for (let i = 0; odd.size < 1000; i += 1) {
      let name = ''
      for (let n = i * 7919 + 13; n > 0; n = Math.floor(n / alphabet.length)) name += alphabet[n % alphabet.length]
      if (name !== '.' && name !== '..') odd.add(i % 50 === 0 ? name.padEnd(70, 'x') : name)
    }
    await Promise.all([...odd].map((name) => mkdir(join(folder, name))))
    const good = [...odd].filter((name) => /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name))
    const silent = [...odd].filter((name) => name.startsWith('.'))
    await until('all good ones', () => names().length >= good.length, 20_000)
    await until('all others', () => notices.length >= odd.size - good.length - silent.length, 20_000)
    expect(names().sort()).toEqual(good.sort())
    expect(notices).toHaveLength(odd.size - good.length - silent.length)
    for (const notice of notices) expect(notice).toMatchObject({ code: 'name-refused', message: expect.stringMatching(/^[\x20-\x7e…]+$/) })
  }, 60_000)
})

describe('what lies there at the start', () => {
  it('is known and listed by age, and not announced', async () => {
    const root = scratch()
    const folder = join(root, 'releases')
    for (const name of ['zebra', 'middle', 'ant']) await aged(build(join(folder, name)), 20)
    await aged(join(folder, 'ant'), 300)
    build(join(folder, 'young'))
    const { watch, drops, drop } = await watched(folder, { settleMs: 250 })
    expect(watch.list().slice(0, 3).map((each) => [each.identity.name, each.complete])).toEqual([['zebra', 'initial'], ['middle', 'initial'], ['ant', 'initial']])
    // It may be half copied, so it is announced when it has settled.
    expect(await drop('young')).toMatchObject({ complete: 'settled' })
    expect(drops).toHaveLength(1)
    expect(watch.newest()?.identity.name).toBe('young')
  })

  it('has the same identity for the next watch, and for a command that names it', async () => {
    const root = scratch()
    const folder = join(root, 'releases')
    const first = await watched(folder, { settleMs: 60_000 })
    await aged(build(join(root, 'v1')))
    renameSync(join(root, 'v1'), join(folder, 'v1'))
    const announced = identityKey((await first.drop('v1')).identity)
    await first.watch.close()
    // The release writes at the top of its folder while it runs.
    await writeFile(join(folder, 'v1', 'server.pid'), '1')
    await aged(join(folder, 'v1', 'server.pid'), 50)
    const second = await watched(folder, { settleMs: 20 })
    expect(identityKey(second.watch.find('v1')!.identity)).toBe(announced)
    expect(identityKey((await readDrop(join(folder, 'v1'))).identity)).toBe(announced)
    expect(second.drops).toEqual([])
  })

  it('is whole although a release runs in it', async () => {
    const root = scratch()
    const folder = join(root, 'releases')
    const path = build(join(folder, 'v1'))
    const release = spawn(process.execPath, ['-e', `
      require('node:fs').openSync('app.log', 'a')
      console.log('up')
      process.stdin.resume().once('end', () => process.exit())`], { cwd: path })
    atEnd(() => void release.stdin.end())
    await once(release.stdout, 'data')
    await aged(join(path, 'app.log'), 300)
    const { watch, notices } = await watched(folder, { settleMs: 100 })
    expect(watch.find('v1')).toMatchObject({ complete: 'initial' })
    expect(notices).toEqual([])
  })
})

describe('the folder itself', () => {
  it('is made where it is missing', async () => {
    const root = scratch()
    const { watch } = await watched(join(root, 'deep', 'releases'))
    expect(watch.list()).toEqual([])
    expect(await readdir(join(root, 'deep'))).toEqual(['releases'])
  })

  it('is refused at the start when others could put builds there', async () => {
    const root = scratch()
    const folder = join(root, 'releases')
    await mkdir(folder)
    await chmod(folder, 0o1777)
    const options = { folder, settleMs: 100, onDrop: () => undefined, onNotice: () => undefined }
    await expect(watchReleases(options)).rejects.toMatchObject({ code: 'unsafe-folder', hint: expect.stringContaining('chmod o-w') })
    await chmod(folder, 0o755)
    await symlink('releases', join(root, 'link'))
    await expect(watchReleases({ ...options, folder: join(root, 'link') })).rejects.toMatchObject({ code: 'unsafe-folder' })
  })

  it('gives nothing from the moment that others could put builds there, until it is mended', async () => {
    const root = scratch()
    const folder = join(root, 'releases')
    const { drops, notice, drop, watch } = await watched(folder, { settleMs: 60_000, pollMs: 20 })
    build(join(root, 'v1'))
    await aged(build(join(root, 'v2')))
    await chmod(folder, 0o777)
    await notice('unsafe-folder')
    renameSync(join(root, 'v1'), join(folder, 'v1'))
    await chmod(folder, 0o755)
    await notice('folder-back')
    expect(drops).toEqual([])
    renameSync(join(root, 'v2'), join(folder, 'v2'))
    await drop('v2')
    expect(watch.find('v1')).toBe(null)
  })

  it('is watched again when it was removed and made anew', async () => {
    const root = scratch()
    const folder = join(root, 'releases')
    const { watch, drop, drops, notice } = await watched(folder, { settleMs: 200, pollMs: 20 })
    build(join(root, 'v0'))
    await aged(build(join(root, 'v1')))
    renameSync(join(root, 'v0'), join(folder, 'v0'))
    await drop('v0')
    await rm(folder, { recursive: true })
    await notice('folder-missing')
    expect(watch.list()).toEqual([])
    await mkdir(folder)
    await notice('folder-back')
    renameSync(join(root, 'v1'), join(folder, 'v1'))
    expect(await drop('v1')).toMatchObject({ complete: 'moved' })
    expect(drops).toHaveLength(2)
  })

  it('is listened to anew when another one has taken its place unseen', async () => {
    const root = scratch()
    const folder = join(root, 'releases')
    const { drop, notice } = await watched(folder, { settleMs: 60_000, rescanMs: 600_000 })
    await aged(build(join(root, 'v1')))
    renameSync(folder, join(root, 'elsewhere'))
    mkdirSync(folder)
    await notice('folder-back')
    renameSync(join(root, 'v1'), join(folder, 'v1'))
    expect(await drop('v1')).toMatchObject({ complete: 'moved' })
  })

  it('that was out of sight brings back what it held, and announces none of it', async () => {
    const root = scratch()
    const folder = join(root, 'releases')
    const { watch, drop, drops, notice } = await watched(folder, { settleMs: 100, pollMs: 20 })
    await aged(build(join(root, 'v1')))
    renameSync(join(root, 'v1'), join(folder, 'v1'))
    const v1 = await drop('v1')
    await rename(folder, join(root, 'elsewhere'))
    await notice('folder-missing')
    await rename(join(root, 'elsewhere'), folder)
    await notice('folder-back')
    await until('listed again', () => watch.find('v1'))
    expect(watch.find('v1')).toBe(v1)
    build(join(folder, 'v2'))
    await drop('v2')
    expect(drops).toHaveLength(2)
  })
})

describe('storms', () => {
  it('of two hundred folders lose nothing and announce each once', async () => {
    const root = scratch()
    const folder = join(root, 'releases')
    const { drops, names, watch } = await watched(folder, { settleMs: 60_000 })
    const expected: string[] = []
    for (let i = 0; i < 200; i += 1) {
      expected.push(`v${i}`)
      await mkdir(join(root, `v${i}`))
    }
    await aged(join(root, 'v199'))
    for (const name of expected) renameSync(join(root, name), join(folder, name))
    await until('all are announced', () => drops.length >= 200)
    expect(names().sort()).toEqual([...expected].sort())
    for (const name of expected) renameSync(join(folder, name), join(folder, `${name}-b`))
    await until('all are announced under the new name', () => drops.length >= 400)
    expect(watch.list()).toHaveLength(200)
    expect(new Set(drops.map((drop) => identityKey(drop.identity))).size).toBe(400)
  })

  it('of creation and removal leave nothing behind', async () => {
    const root = scratch()
    const folder = join(root, 'releases')
    const { drop, drops, watch } = await watched(folder, { settleMs: 100 })
    for (let i = 0; i < 300; i += 1) {
      await mkdir(join(folder, `v${i % 7}`))
      await rm(join(folder, `v${i % 7}`), { recursive: true })
    }
    build(join(folder, 'last'))
    await drop('last')
    expect(drops).toHaveLength(1)
    expect(watch.list()).toHaveLength(1)
  })
})

describe('without events', () => {
  it('finds the same by reading the folder every so often', async () => {
    const root = scratch()
    const folder = join(root, 'releases')
    const { drop, drops } = await watched(folder, { settleMs: 150, rescanMs: 50, openHints: async () => ({ close: async () => undefined }) })
    build(join(root, 'v2'))
    build(join(folder, 'v1'))
    expect(await drop('v1')).toMatchObject({ complete: 'settled' })
    // It was born before a reading that did not find it.
    await aged(join(root, 'v2'))
    renameSync(join(root, 'v2'), join(folder, 'v2'))
    expect(await drop('v2')).toMatchObject({ complete: 'moved' })
    await symlink('v1', join(folder, 'current'))
    await until('current', () => drops.length === 3)
    await rm(join(folder, 'current'))
    build(join(root, 'other'))
    renameSync(join(folder, 'v2'), join(root, 'v2'))
    renameSync(join(root, 'other'), join(folder, 'v2'))
    await until('v2 is another one', () => drops.length === 4)
    expect(drops[3]).toMatchObject({ complete: 'settled', identity: { name: 'v2' } })
  })

  it.each(['ENOSPC', 'EMFILE'])('says so once when inotify gives up with %s, reads instead, and listens again later', async (code) => {
    const root = scratch()
    const folder = join(root, 'releases')
    let limited = true
    let listening = false
    const { drop, notice, notices } = await watched(folder, {
      settleMs: 100, rescanMs: 600_000, pollMs: 20, rearmMs: 100,
      openHints: async (path, listeners) => {
        listening = !limited
        if (listening) return openHints(path, listeners)
        listeners.onError(Object.assign(new Error(code), { code }))
        return { close: async () => undefined }
      },
    })
    expect((await notice('watch-limit')).message).toContain(code)
    await aged(build(join(root, 'v2')))
    build(join(folder, 'v1'))
    expect(await drop('v1')).toMatchObject({ complete: 'settled' })
    limited = false
    await until('it listens again', () => listening)
    renameSync(join(root, 'v2'), join(folder, 'v2'))
    expect(await drop('v2')).toMatchObject({ complete: 'moved' })
    expect(notices.filter((each) => each.code === 'watch-limit')).toHaveLength(1)
  })
})

describe('the end of a watch', () => {
  it('in a callback keeps back what was found with it', async () => {
    const root = scratch()
    const folder = join(root, 'releases')
    const over = new AbortController()
    const { drops, watch } = await watched(folder, {
      settleMs: 60_000, rescanMs: 50, openHints: async () => ({ close: async () => undefined }), onDrop: () => over.abort(),
    })
    over.signal.addEventListener('abort', () => void watch.close())
    build(join(root, 'v1'))
    await aged(build(join(root, 'v2')))
    renameSync(join(root, 'v1'), join(folder, 'v1'))
    renameSync(join(root, 'v2'), join(folder, 'v2'))
    await until('the first', () => drops.length > 0)
    expect(drops).toHaveLength(1)
  })

  it('by its signal stops every callback', async () => {
    const root = scratch()
    const folder = join(root, 'releases')
    const over = new AbortController()
    const drops: string[] = []
    const options = { settleMs: 100, onNotice: () => undefined }
    await watchReleases({ ...options, folder, signal: over.signal, onDrop: (drop) => drops.push(drop.identity.name) })
    const other = await watched(folder, { settleMs: 100 })
    over.abort()
    build(join(folder, 'v1'))
    await other.drop('v1')
    expect(drops).toEqual([])
    await expect(watchReleases({ ...options, folder, signal: over.signal, onDrop: () => undefined })).rejects.toThrow()
  })
})

describe('a folder named in a command', () => {
  it('is read through symlinks, and refused when it is none', async () => {
    const root = scratch()
    build(join(root, 'v1'))
    await symlink('v1', join(root, 'link'))
    expect(await readDrop(join(root, 'link'))).toMatchObject({ path: join(root, 'v1'), complete: 'named', identity: { name: 'v1', size: 0 } })
    await writeFile(join(root, 'v1.tgz'), '')
    await expect(readDrop(join(root, 'v1.tgz'))).rejects.toMatchObject({ code: 'drop-not-a-folder', exitCode: 2 })
    await expect(readDrop(join(root, 'v9'))).rejects.toMatchObject({ code: 'no-such-drop', exitCode: 2 })
    await mkdir(join(root, 'a b'))
    await expect(readDrop(join(root, 'a b'))).rejects.toMatchObject({ code: 'name-refused', exitCode: 2 })
  })
})
