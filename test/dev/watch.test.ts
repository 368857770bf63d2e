import { chmodSync, mkdirSync, mkdtempSync, realpathSync, renameSync, rmSync, symlinkSync, unlinkSync, utimesSync, writeFileSync, type watch } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { IgnoreRules } from '../../agent/dev/watch/ignore-rules.ts'
import { Watch, type WatchOptions } from '../../agent/dev/watch/watch.ts'
import { until } from '../support/deadline.ts'

interface Running {
  readonly root: string
  readonly notices: string[]
  /** Files that were noticed, relative, in the order of the events. */
  readonly noticed: string[]
  /** What each burst came to. */
  readonly bursts: (readonly string[])[]
  readonly watch: Watch
  write(name: string, text: string): void
}

/** A real folder with some files, watched; each burst is gathered as `gracer dev` does it. */
async function watched(files: Record<string, string>, options: Partial<WatchOptions> = {}, were: readonly string[] = []): Promise<Running> {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'gracer-dev-watch-')))
  const write = (name: string, text: string): void => {
    mkdirSync(join(root, name, '..'), { recursive: true })
    writeFileSync(join(root, name), text)
  }
  for (const [name, text] of Object.entries(files)) write(name, text)
  // Older than what makes a file's time ambiguous, as files of a project are.
  const past = new Date(Date.now() - 60_000)
  for (const name of Object.keys(files)) utimesSync(join(root, name), past, past)
  const noticed: string[] = []
  const bursts: (readonly string[])[] = []
  const notices: string[] = []
  const watch = new Watch({
    roots: [root], rules: new IgnoreRules({ folder: root, ignore: [], keep: [], defaults: true }), poll: false, since: Date.now() + 1_000_000,
    changed(paths) {
      noticed.push(...paths.map((path) => relative(root, path)))
      watch.awaitQuiet(0, (burst) => {
        watch.forget()
        bursts.push(burst.paths.map((path) => relative(root, path)).sort())
      })
    },
    notice: (text) => notices.push(text),
    were: were.map((name) => join(root, name)),
    ...options,
  })
  onTestFinished(() => {
    watch.close()
    rmSync(root, { recursive: true, force: true })
  })
  await watch.start()
  return { root, notices, noticed, bursts, watch, write }
}

const base = { 'server.mjs': 'one', 'src/a.js': 'a', 'src/deep/b.js': 'b', 'node_modules/x/index.js': 'x' }

describe('a change is noticed', () => {
  test('when a file is written in place, and that is one burst', async () => {
    const { bursts, write } = await watched(base)
    write('src/deep/b.js', 'changed')
    await until('the burst', () => bursts.length > 0)
    expect(bursts).toEqual([['src/deep/b.js']])
  })

  test('when an editor puts a new file in its place, and nothing is left to tell of the temporary one', async () => {
    const { root, bursts, write } = await watched(base)
    write('server.mjs.1234567', 'two')
    renameSync(join(root, 'server.mjs.1234567'), join(root, 'server.mjs'))
    await until('the burst', () => bursts.length > 0)
    expect(bursts.at(-1)).toEqual(['server.mjs'])
  })

  test('when a file is added, removed, moved, or a whole folder comes or goes', async () => {
    const { root, bursts, write } = await watched(base)
    write('src/new.js', 'n')
    await until('the new file', () => bursts.flat().includes('src/new.js'))
    unlinkSync(join(root, 'src/a.js'))
    await until('the removed file', () => bursts.flat().includes('src/a.js'))
    renameSync(join(root, 'src/deep'), join(root, 'src/deeper'))
    await until('the moved folder', () => bursts.flat().includes('src/deep/b.js') && bursts.flat().includes('src/deeper/b.js'))
    write('src/deeper/b.js', 'in the new place')
    await until('a file in the moved folder', () => bursts.at(-1)?.join() === 'src/deeper/b.js')
    rmSync(join(root, 'src/deeper'), { recursive: true })
    await until('the removed folder', () => bursts.filter((burst) => burst.includes('src/deeper/b.js')).length >= 3)
  })

  test('when a link leads to a file that is elsewhere, and that is written or replaced, or the link leads to another', async () => {
    const elsewhere = realpathSync(mkdtempSync(join(tmpdir(), 'gracer-dev-elsewhere-')))
    onTestFinished(() => rmSync(elsewhere, { recursive: true }))
    const { root, noticed } = await watched(base)
    const told = async (): Promise<void> => {
      await until('the link', () => noticed.includes('src/link.js'))
      noticed.length = 0
    }
    for (const name of ['one.js', 'two.js']) writeFileSync(join(elsewhere, name), 'first')
    symlinkSync(join(elsewhere, 'one.js'), join(root, 'src/link.js'))
    await told()
    writeFileSync(join(elsewhere, 'one.js'), 'in place')
    await told()
    writeFileSync(join(elsewhere, 'one.js.new'), 'replaced')
    renameSync(join(elsewhere, 'one.js.new'), join(elsewhere, 'one.js'))
    await told()
    unlinkSync(join(root, 'src/link.js'))
    symlinkSync(join(elsewhere, 'two.js'), join(root, 'src/link.js'))
    await told()
    writeFileSync(join(elsewhere, 'two.js'), 'another')
    await told()
  })

  test('when a file is written twice within one step of the file system’s clock, with the same length', async () => {
    const { noticed, write } = await watched(base)
    for (let time = 0; time < 20; time += 1) {
      const before = noticed.length
      write('server.mjs', `aaa${time % 10}`)
      await until('the first write', () => noticed.length > before)
      const between = noticed.length
      write('server.mjs', `bbb${time % 10}`)
      await until('the second write', () => noticed.length > between)
    }
  })
})

describe('nothing is told', () => {
  test('of a change of mode, of what is ignored, and of a file that came and went', async () => {
    const { root, bursts, noticed, write } = await watched({ ...base, '.gitignore': 'generated\n' })
    chmodSync(join(root, 'server.mjs'), 0o755)
    write('node_modules/x/index.js', 'y')
    write('dist/bundle.js', 'z')
    write('generated', 'z')
    write('server.mjs.swp', 'z')
    write('src/came.js', 'x')
    unlinkSync(join(root, 'src/came.js'))
    write('src/a.js', 'last')
    await until('the last', () => noticed.includes('src/a.js'))
    await until('the burst', () => bursts.length > 0)
    expect(bursts.flat()).toEqual(['src/a.js'])
    expect(noticed.filter((name) => name !== 'src/came.js' && name !== 'src/a.js')).toEqual([])
  })

  test('of links to folders, which may lead in a circle', async () => {
    const { root, watch, bursts } = await watched(base)
    symlinkSync(root, join(root, 'src', 'loop'))
    writeFileSync(join(root, 'src', 'a.js'), 'after')
    await until('the burst', () => bursts.length > 0)
    expect(watch.files).toBe(3)
  })
})

test('a checkout of 5,000 files is one burst', async () => {
  const { bursts, write } = await watched(base)
  for (let file = 0; file < 5_000; file += 1) write(`src/d${file % 50}/f${file}.js`, `${file}`)
  await until('the burst to have all of it', () => bursts.flat().length >= 5_000, 30_000)
  expect(bursts).toHaveLength(1)
  expect(bursts[0]).toHaveLength(5_000)
})

test('a .gitignore that changes counts from then on', async () => {
  const { noticed, write } = await watched(base)
  write('.gitignore', 'data.json\n')
  write('src/a.js', 'first')
  await until('the first', () => noticed.includes('src/a.js'))
  write('data.json', '{}')
  write('src/deep/b.js', 'second')
  await until('the second', () => noticed.includes('src/deep/b.js'))
  expect(noticed).not.toContain('data.json')
  expect(noticed).not.toContain('.gitignore')
})

test('a working folder that goes is told, and noticed when it is back', async () => {
  const { root, notices, noticed, write } = await watched(base)
  rmSync(root, { recursive: true })
  await until('the word that it is gone', () => notices.some((text) => text.includes('is gone')))
  noticed.length = 0
  write('server.mjs', 'again')
  await until('the new folder', () => noticed.includes('server.mjs'))
  noticed.length = 0
  write('server.mjs', 'and on')
  await until('a change in it', () => noticed.includes('server.mjs'))
})

test('what was changed after the app was started and before the watch was there is noticed', async () => {
  const { noticed } = await watched(base, { since: 0 })
  expect(noticed.sort()).toEqual(['server.mjs', 'src/a.js', 'src/deep/b.js'])
})

test('what was removed after the app was started and before the watch was there is noticed', async () => {
  const { bursts } = await watched({ ...base, 'now-a-folder/x.log': '' }, {}, ['server.mjs', 'gone.mjs', 'gone.log', 'now-a-folder'])
  await until('the burst', () => bursts.length > 0)
  expect(bursts).toEqual([['gone.mjs', 'now-a-folder']])
})

describe('files are looked at again and again', () => {
  test.each(['ENOSPC', 'EMFILE'])('where the system has no watch left (%s), with a word on what to do', async (code) => {
    let opened = 0
    const open = (() => {
      opened += 1
      throw Object.assign(new Error(`no watch (${code})`), { code })
    }) as unknown as typeof watch
    const { notices, bursts, write, watch: running } = await watched(base, { open })
    expect(opened).toBeGreaterThan(0)
    expect(running.polling).toBe(true)
    expect(notices.join()).toMatch(code === 'ENOSPC' ? /max_user_watches/ : /ulimit -n/)
    expect(notices).toHaveLength(1)
    write('src/a.js', 'seen all the same')
    await until('the burst', () => bursts.flat().includes('src/a.js'))
    write('src/new/c.js', 'a new folder too')
    await until('the new folder', () => bursts.flat().includes('src/new/c.js'))
  })

  test('where that is asked for', async () => {
    const { bursts, write } = await watched(base, { poll: true })
    write('server.mjs', 'polled')
    await until('the burst', () => bursts.flat().includes('server.mjs'))
  })
})
