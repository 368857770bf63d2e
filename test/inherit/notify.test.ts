import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { afterEach, describe, expect, test } from 'vitest'

import { createNotifier } from '../../inherit/notify.ts'
import { cleanUp, get, socketsOf, startApp, until, type App } from './support.ts'

afterEach(cleanUp)

const library = new URL('../../dist/inherit/index.js', import.meta.url).href

/** A program with `notifier` and the other exports at hand, and a socket called http. */
function start(program: string, socketNames: string[] = ['http']): Promise<App> {
  return startApp({ command: [process.execPath, '--input-type=module', '-e', `import * as gracer from '${library}'; const { notifier } = gracer; ${program}`], socketNames })
}

describe('notifier', () => {
  test('writes one KEY=value line a call, in order, also just before the process ends', async () => {
    const app = await start('notifier.status("one\\r\\ntwo=2\\n"); notifier.extendTimeout(1500.5); notifier.ready(); notifier.stopping(); process.exit(0)')
    await once(app.events, 'notifyEnd')
    expect(app.notices).toEqual([['STATUS', 'one two=2 '], ['EXTEND_TIMEOUT_USEC', '1500500'], ['READY', '1'], ['STOPPING', '1']])
  })

  test('a status of any length arrives, cut', async () => {
    const app = await start('notifier.status("ü€".repeat(100000)); notifier.ready()')
    await app.notice('READY')
    expect(app.notices[0]).toEqual(['STATUS', 'ü€'.repeat(500)])
  })

  test('ready() closes the sockets that nobody took: clients would wait in them for ever', async () => {
    const app = await start('notifier.ready(); setInterval(() => {}, 1000)')
    await app.notice('READY')
    await expect(get(app.port)).rejects.toThrow('ECONNREFUSED')
    expect(socketsOf(app.pid).length).toBe(1)
  })

  test('does not keep the process alive', async () => {
    const app = await start('notifier.ready()')
    const [code] = (await once(app.child, 'exit')) as [number | null]
    expect(code).toBe(0)
    expect(app.notices).toEqual([['READY', '1']])
  })

  test('a parent that is gone neither ends the process nor throws', async () => {
    const app = await start('let n = 0; setInterval(() => { notifier.status("beat"); if (++n === 20) console.log("alive") }, 5); notifier.ready()')
    await app.notice('READY')
    const stdio = app.child.stdio as unknown as { destroy(): void }[]
    stdio[4]?.destroy()
    await until('twenty more', () => app.log() === 'alive\n')
    expect(app.child.exitCode).toBeNull()
  })

  test('a parent that does not read does not block it: status lines are dropped, READY is kept', async () => {
    const app = await start(`
      for (let i = 0; i < 20000; i++) notifier.status('x'.repeat(900))
      notifier.ready()
      console.log('went on', process.memoryUsage().rss < 150e6)
      setInterval(() => {}, 1000)`)
    const pipe = (app.child.stdio as unknown as { pause(): void; resume(): void }[])[4]
    pipe?.pause()
    await until('the program to go on', () => app.log() === 'went on true\n')
    expect(app.notices).not.toContainEqual(['READY', '1'])
    pipe?.resume()
    await app.notice('READY')
    expect(app.notices.length).toBeLessThan(20_000)
  })
})

describe('createNotifier', () => {
  test('does nothing where there is no descriptor, a closed one, or a file', () => {
    const file = openSync('/dev/null', 'w')
    for (const fd of [undefined, 9999, file]) {
      const notifier = createNotifier(fd)
      notifier.ready()
      notifier.status('x')
      notifier.stopping()
      notifier.extendTimeout(1)
    }
    closeSync(file)
  })

  test('says ready only after what has to come first', () => {
    let closed = false
    createNotifier(undefined, () => (closed = true)).ready()
    expect(closed).toBe(true)
  })
})
