import { rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { freePort } from '../../inherit/ephemeral-socket.ts'
import type { Status } from '../../agent/control/shapes.ts'
import { until } from '../support/deadline.ts'
import { GracerProcess, runCli } from '../support/gracer-process.ts'
import { linesOf, startCli } from './observe.ts'
import { writeFiles } from './write-release.ts'

// `gracer up -- node server.js` in a folder of a user's own: no config, no change to the program, no drop folder.

/** A program as anybody has one. What it says is its build; it is well once there is no file `sick` beside it. */
const program = `
const { existsSync, readFileSync } = require('fs')
const text = readFileSync(__dirname + '/text.txt', 'utf8').trim()
if (text === 'broken') throw new Error('cannot find module leftpad')
console.log('serving ' + text)
require('http').createServer((req, res) => {
  if (existsSync(__dirname + '/sick')) res.statusCode = 503
  res.end(text)
}).listen(process.env.PORT || 3000)
`

interface UserFolder {
  readonly gracer: GracerProcess
  readonly url: string
  /** Changes the build, as an editor would. */
  edit(text: string): void
  ask(): Promise<{ status: number; text: string }>
}

async function startInFolder(text: string, command: readonly string[] = ['node', 'server.js']): Promise<UserFolder> {
  const port = await freePort()
  const gracer = await GracerProcess.create({ args: ['--listen', `127.0.0.1:${port}`, '--', ...command] })
  rmSync(join(gracer.folder, 'gracer.json'))
  rmSync(gracer.releases, { recursive: true })
  writeFiles(gracer.folder, { 'server.js': program, 'text.txt': text })
  await gracer.up()
  const url = `http://127.0.0.1:${port}`
  return {
    gracer, url,
    edit: (next) => writeFileSync(join(gracer.folder, 'text.txt'), next),
    async ask() {
      const response = await fetch(url, { headers: { connection: 'close' } })
      return { status: response.status, text: await response.text() }
    },
  }
}

describe('from the first start to the end', () => {
  let folder: UserFolder
  let gracer: GracerProcess

  beforeAll(async () => {
    folder = await startInFolder('one')
    gracer = folder.gracer
    await gracer.live('v1')
  })

  afterAll(async () => {
    await gracer?.end()
  })

  test('up says where it listens, and the program answers there', async () => {
    expect(gracer.upLog()).toContain(`gracer listens on ${folder.url} (pid ${gracer.pid}, state in ${join(gracer.folder, '.gracer')})`)
    expect(await folder.ask()).toEqual({ status: 200, text: 'one' })
    // The console shows what the program says, as it says it.
    await until('the console to show the program', () => gracer.upLog().includes('\nserving one\n'))
  })

  test('an edit and `gracer swap --until flip`: the next request is answered by it; `gracer rollback` goes back at once', async () => {
    folder.edit('two')
    const swap = await gracer.cli('swap', '--until', 'flip')
    expect(swap.code, swap.stderr).toBe(0)
    expect((await gracer.cli('explain')).stdout).toMatch(/^v2 is live now; v2 of default: live/)
    expect(swap.stderr).toMatch(/^queued .*\ntaking-in .*\nbooting .*\nchecking .*\n/)
    expect(swap.stderr).toMatch(/^v2 is live now, flipped; "gracer status" shows how it goes on$/m)
    expect(await folder.ask()).toEqual({ status: 200, text: 'two' })
    expect((await gracer.cli('status')).stdout).toContain('default: v2 is live, not yet confirmed')

    const back = await gracer.cli('rollback')
    expect(back.code, back.stderr).toBe(0)
    expect(back.stdout).toMatch(/^v1 is live now: v2 was rolled back by command\n/)
    // The old process was kept warm: it is the old build, whatever lies in the folder by now.
    expect(await folder.ask()).toEqual({ status: 200, text: 'one' })
  })

  test('a config that appears is read by the next swap, which returns when its release is confirmed', async () => {
    writeFileSync(join(gracer.folder, 'gracer.json'), JSON.stringify({ bake: '200ms' }))
    const swap = await gracer.cli('swap')
    expect(swap.code, swap.stderr).toBe(0)
    const [first, ...rest] = swap.stdout.trimEnd().split('\n')
    expect(first).toBe('v3 is live now: v3 is confirmed')
    expect(rest.join('\n')).toMatch(/ {2}release +v3, before it v1\n {2}phases +take-in .*, boot .*, health .*, flip .*, drain .*, bake .*\n(.*\n)* {2}lost +0, violations: 0\n {2}next {2}To go back: gracer rollback\./)
    expect(await folder.ask()).toEqual({ status: 200, text: 'two' })
  })

  test('`gracer restart` boots the same release afresh, through a full swap', async () => {
    const before = (await gracer.status()).services[0]?.releases[0]?.pid
    const restart = await gracer.cli('restart', '--json')
    expect(restart.code, restart.stderr).toBe(0)
    expect(JSON.parse(restart.stdout)).toMatchObject({ schema: 1, outcome: 'confirmed', live: 'v4', receipt: { previous: 'v3', lost: 0 } })
    expect((await gracer.status()).services[0]?.releases[0]?.pid).not.toBe(before)
  })

  test('a rollback to a release of the same folder says that it is what lies there now', async () => {
    const back = await gracer.cli('rollback')
    expect(back.code, back.stderr).toBe(0)
    expect(back.stdout).toMatch(/^v3 is live now/)
    expect(back.stderr).toMatch(/^queued .*v3 was booted from the folder that v4 was booted from, and gets what lies there now/)
    expect((await gracer.cli('rollback', 'v3')).stdout).toContain('v3 is live already')
    expect(await gracer.cli('rollback', 'v99')).toMatchObject({ code: 2, stderr: expect.stringContaining('there is no release v99') as string })
  })

  test('a swap whose build fails leaves the old one alone', async () => {
    folder.edit('broken')
    const swap = await gracer.cli('swap')
    expect(swap.code).toBe(1)
    expect(swap.stderr).toContain('v3 is live now: v5 failed at its boot')
    expect(swap.stderr).toContain('| Error: cannot find module leftpad')
    expect(swap.stderr).toMatch(/When it is mended: gracer swap\.$/m)
    expect(await folder.ask()).toEqual({ status: 200, text: 'two' })
    folder.edit('two')
  })

  test('status --json is the contract of the design, and its text names what a person looks for', async () => {
    const { code, stdout } = await gracer.cli('status', '--json')
    expect(code).toBe(0)
    const status = JSON.parse(stdout) as Status
    const own = gracer.pids()
    expect(status).toMatchObject({
      schema: 1, listen: [folder.url.slice('http://'.length)], proxy: { pid: gracer.pid, workers: [expect.any(Number)] }, agent: { pid: expect.any(Number) as number },
      violations: 0, lost: 0, services: [{ name: 'default', live: 'v3', confirmed: true, canary: null, waiting: null }],
    })
    for (const pid of [status.proxy.pid, status.agent.pid, ...status.proxy.workers]) expect(own).toContain(pid)
    const releases = status.services[0]?.releases ?? []
    expect(releases.map((release) => [release.id, release.state])).toEqual([['v5', 'failed'], ['v4', 'stopped'], ['v3', 'live'], ['v2', 'stopped'], ['v1', 'stopped']])
    const live = releases.find((release) => release.state === 'live')
    expect(live).toEqual({
      id: 'v3', name: null, state: 'live', pid: expect.any(Number) as number, port: expect.any(Number) as number, inFlight: 0, upgraded: 0,
      requests: expect.any(Number) as number, errors: 0, traffic: expect.objectContaining({ lost: 0 }) as object, since: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/) as string, verified: true, note: null,
    })
    expect(own).toContain(live?.pid)
    const text = (await gracer.cli('status')).stdout
    expect(text).toContain('lost: 0, violations: 0')
    expect(text).toContain('default: v3 is live, confirmed')
    expect(text).toMatch(/^v3 +- +live +\d+ +\d+ /m)
  })

  test('history tells every swap, newest first, and explain tells one', async () => {
    const history = await gracer.cli('history')
    expect(history.code).toBe(0)
    expect(history.stdout.split('\n').map((line) => /\b(v\d) +- +([a-z-]+)/.exec(line)?.slice(1, 3)).filter((found) => found !== undefined))
      .toEqual([['v5', 'failed'], ['v3', 'confirmed'], ['v4', 'confirmed'], ['v3', 'confirmed'], ['v2', 'rolled-back'], ['v1', 'confirmed']])
    const two = JSON.parse((await gracer.cli('history', '-n', '2', '--json')).stdout) as { schema: number; receipts: { release: string }[] }
    expect(two.schema).toBe(1)
    expect(two.receipts.map((receipt) => receipt.release)).toEqual(['v5', 'v3'])

    const explain = await gracer.cli('explain', 'v2')
    expect(explain.stdout).toMatch(/^v3 is live now; v2 of default: stopped\n/)
    for (const phase of ['booting: ', 'healthy after ', 'flipped', 'rolled-back: rolled back by command']) expect(explain.stdout).toContain(phase)
    // Without a name: the one tried last, where it failed.
    expect((await gracer.cli('explain')).stdout).toContain('v5 of default, which was tried last: failed')
    expect(await gracer.cli('explain', 'monday')).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('there is no release monday') as string })
  })

  test('logs shows the last lines of the live release, of a named one, and follows a flip', async () => {
    expect((await gracer.cli('logs')).stdout).toBe('serving two\nserving two\n')
    expect((await gracer.cli('logs', '-n', '1')).stdout).toBe('serving two\n')
    expect((await gracer.cli('logs', 'v1')).stdout).toBe('serving one\n')
    expect(JSON.parse((await gracer.cli('logs', 'v1', '--json')).stdout)).toEqual({ schema: 1, release: 'v1', line: 'serving one' })

    const following = startCli(gracer, 'logs', '-f', '-n', '1')
    await following.says('serving two')
    folder.edit('three')
    expect((await gracer.cli('swap')).code).toBe(0)
    await following.says('serving three')
    expect(following.stdout).toBe('serving two\nserving three\n')
    expect(following.stderr).toContain('gracer: the log of v6 from here')
    following.child.kill('SIGINT')
    await following.ended
  })

  test('check shows the config in full and where each value comes from; version names what is installed', async () => {
    const check = await gracer.cli('check')
    expect(check.code).toBe(0)
    expect(check.stdout).toMatch(/^bake +200ms +file$/m)
    expect(check.stdout).toMatch(/^health\.deadline +1m +default$/m)
    expect(JSON.parse((await gracer.cli('check', '--json')).stdout)).toMatchObject({ schema: 1, file: join(gracer.folder, 'gracer.json') })
    const version = await gracer.cli('version')
    expect(version.stdout).toMatch(/^gracer \d+\.\d+\.\d+, node \d+\.\d+\.\d+, \w+-\w+\n$/)
  })

  test('a second `gracer up` on the same state folder is refused with 4 and names the first', async () => {
    const second = await runCli(gracer.folder, ['up', '--listen', '127.0.0.1:0', '--', 'node', 'server.js'])
    expect(second.code).toBe(4)
    expect(second.stderr).toContain(`${gracer.pid}`)
    expect(await folder.ask()).toMatchObject({ status: 200 })
  })

  test('down drains, ends everything and leaves nothing behind', async () => {
    const own = gracer.pids()
    const slow = fetch(folder.url, { headers: { connection: 'close' } })
    const down = await gracer.cli('down')
    expect(down.code, down.stderr).toBe(0)
    expect(down.stdout).toContain('gracer has ended')
    expect((await slow).status).toBe(200)
    expect(await gracer.ended).toBe(0)
    for (const pid of own) expect(linesOf(`/proc/${pid}/status`).filter((line) => line.startsWith('Name:'))).toEqual([])
    await expect(fetch(folder.url)).rejects.toThrow()
  })

  test('with gracer gone the commands say so and exit with 3', async () => {
    const status = await gracer.cli('status')
    expect(status).toMatchObject({ code: 3, stdout: '' })
    expect(status.stderr).toMatch(/^gracer: .*\n {2}.*gracer up/)
  })
})

describe('a first boot that fails', () => {
  let folder: UserFolder

  afterEach(async () => {
    await folder?.gracer.end()
  })

  test('is told where gracer runs and to whoever asks, and a good swap mends it', async () => {
    folder = await startInFolder('broken')
    const { gracer } = folder
    await until('the boot to have failed', async () => (await gracer.status()).services[0]?.releases[0]?.state === 'failed')
    const answer = await fetch(folder.url, { headers: { accept: 'application/json' } })
    expect(answer.status).toBe(503)
    expect(answer.headers.get('retry-after')).toBe('5')
    expect(await answer.json()).toMatchObject({ error: { status: 503, code: 'no-release', message: 'No release is live: v1 failed' } })
    await until('the console to tell', () => gracer.upLog().includes('its process exited with code 1 before it was healthy'))
    await until('the console to show the last words', () => gracer.upLog().includes('cannot find module leftpad'))
    expect((await gracer.cli('status')).stdout).toContain('default: nothing is live')
    const why = (await gracer.cli('explain')).stdout
    expect(why).toMatch(/^nothing is live now; v1 of default, which was tried last: failed/)
    expect(why).toContain('When it is mended: gracer swap.')

    folder.edit('mended')
    const swap = await gracer.cli('swap', '--json')
    expect(swap.code, swap.stderr).toBe(0)
    expect(JSON.parse(swap.stdout)).toMatchObject({ outcome: 'confirmed', live: 'v2' })
    expect(await folder.ask()).toEqual({ status: 200, text: 'mended' })
  })
})

describe('what cannot be started', () => {
  test('a port that is taken: exit 2, and how to choose another', async () => {
    const taken = createServer()
    taken.on('error', () => {})
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
    const { port } = taken.address() as { port: number }
    const gracer = await GracerProcess.create()
    try {
      writeFiles(gracer.folder, { 'server.js': program, 'text.txt': 'one' })
      const up = await runCli(gracer.folder, ['up', '--listen', `127.0.0.1:${port}`, '--', 'node', 'server.js'])
      expect(up.code).toBe(2)
      expect(up.stderr).toContain(`127.0.0.1:${port}`)
      expect(up.stderr).toContain('choose another: gracer up --listen 127.0.0.1:8081')
    } finally {
      taken.close()
      await gracer.end()
    }
  })

  test('a folder that does not say how it is started: exit 2 at once, before the port is taken', async () => {
    const gracer = await GracerProcess.create({ config: { releases: null } })
    try {
      const up = await runCli(gracer.folder, ['up'])
      expect(up.code).toBe(2)
      expect(up.stderr).toContain('does not say how it is started')
      expect(up.stderr).toContain('gracer up -- CMD ARG…')
      expect(up.stderr).not.toContain('listens on')
    } finally {
      await gracer.end()
    }
  })
})
