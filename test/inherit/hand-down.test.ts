import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'

import { childEnvironment } from '../../inherit/child-environment.ts'
import { findCommand } from '../../inherit/find-command.ts'
import { spawnWithSockets } from '../../inherit/hand-down.ts'
import { longestNotifyLine, NotifyLines } from '../../inherit/notify-lines.ts'
import { appsFolder, cleanUp, descriptorsOf, get, socketsOf, startApp, startNodeApp, temporaryFolder, until, type App } from './support.ts'

afterEach(cleanUp)

/** A node program given as text, without the preload. */
function startScript(program: string, options: { env?: Record<string, string>; socketNames?: string[] } = {}): Promise<App> {
  return startApp({ command: [process.execPath, '-e', program], ...options })
}

describe('spawnWithSockets', () => {
  test('passes sockets from descriptor 3 on, the notify descriptor behind them, and says so as sd_listen_fds does', async () => {
    const app = await startScript(
      'const fs = require("fs"); const kinds = [3, 4, 5].map((fd) => fs.fstatSync(fd).isSocket());' +
      'console.log(JSON.stringify({ pid: process.pid, kinds, env: Object.fromEntries(Object.entries(process.env).filter(([k]) => /^(LISTEN|GRACER)_/.test(k))) }))',
      { socketNames: ['http', 'admin'] },
    )
    await once(app.child, 'exit')
    expect(JSON.parse(app.log())).toEqual({
      pid: app.pid,
      kinds: [true, true, true],
      env: { LISTEN_FDS: '2', LISTEN_FDNAMES: 'http:admin', LISTEN_PID: String(app.pid), GRACER_NOTIFY_FD: '5', GRACER_NOTIFY_PID: String(app.pid) },
    })
  })

  test('without sockets there is no LISTEN_*, and the notify descriptor is 3', async () => {
    const app = await startScript(
      'require("fs").writeSync(Number(process.env.GRACER_NOTIFY_FD), "READY=1\\n"); console.log(Object.keys(process.env).filter((k) => /^(LISTEN|GRACER)_/.test(k)).sort().join())',
      { socketNames: [] },
    )
    expect(await app.notice('READY')).toBe('1')
    await once(app.child, 'exit')
    expect(app.log()).toBe('GRACER_NOTIFY_FD,GRACER_NOTIFY_PID\n')
  })

  test('a Python program takes the socket up by the protocol, with its standard library alone', async () => {
    const app = await startApp({ command: ['python3', 'inherit-python.py'] })
    await app.notice('READY')
    expect(app.notices).toEqual([['STATUS', 'python is up'], ['READY', '1']])
    expect((await get(app.port)).body).toBe(String(app.pid))
  })

  test('the child leads a process group and a session of its own', async () => {
    const app = await startNodeApp('inherit-express.mjs')
    await app.notice('READY')
    const [group, session] = execFileSync('ps', ['-o', 'pgid=,sid=', '-p', String(app.pid)], { encoding: 'utf8' }).trim().split(/\s+/)
    expect([group, session]).toEqual([String(app.pid), String(app.pid)])
  })

  test('a variable whose name no shell accepts arrives all the same, and LISTEN_PID is still right', async () => {
    const app = await startScript('console.log(process.env["my.setting"], process.env["a-b"], process.env.LISTEN_PID === String(process.pid))', {
      env: { 'my.setting': 'x y=z', 'a-b': '$HOME' },
    })
    await once(app.child, 'exit')
    expect(app.log()).toBe('x y=z $HOME true\n')
  })

  test('arguments with blanks, quotes and dollars arrive as they are', async () => {
    const app = await startApp({ command: [process.execPath, '-p', 'process.argv.slice(1).join("|")', 'a b', '$HOME', '"q\'', ''] })
    await once(app.child, 'exit')
    expect(app.log()).toBe('a b|$HOME|"q\'|\n')
  })

  test('the end of the notify stream is told when the child has died', async () => {
    const app = await startScript('setInterval(() => {}, 1000)')
    const ended = once(app.events, 'notifyEnd')
    process.kill(-app.pid, 'SIGKILL')
    await ended
  })

  test('neither the socket nor the notify descriptor reaches what a Node child starts', async () => {
    const app = await startScript('require("child_process").spawnSync("ls", ["-l", "/proc/self/fd"], { stdio: "inherit" })', { socketNames: ['a', 'b', 'c'] })
    await once(app.child, 'exit')
    expect(app.log()).toContain(' 1 -> ')
    expect(app.log()).not.toContain('socket:')
  })

  test('a thousand starts that fail leave no descriptor behind', () => {
    const before = socketsOf('self').length
    for (let i = 0; i < 1000; i++) {
      expect(() => spawnWithSockets({ command: ['no-such-command'], cwd: '/', env: {}, sockets: [], stdout: 1, stderr: 2 })).toThrow()
    }
    expect(socketsOf('self').length).toBe(before)
  })

  test('fifty children that come and go leave no descriptor and no zombie behind', async () => {
    const before = descriptorsOf('self').size
    for (let i = 0; i < 50; i++) {
      const app = await startApp({ command: ['true'], socketNames: ['a', 'b'] })
      await Promise.all([once(app.child, 'close'), once(app.events, 'notifyEnd')])
      expect(existsSync(`/proc/${app.pid}`)).toBe(false)
    }
    await expect.poll(() => descriptorsOf('self').size).toBe(before)
  })

  test('a name that would break LISTEN_FDNAMES is refused', () => {
    const start = (name: string): unknown => spawnWithSockets({ command: ['true'], cwd: '/', env: {}, sockets: [{ name, fd: 0 }], stdout: 1, stderr: 2 })
    for (const name of ['a:b', '', 'a b', 'ä', 'a\n', 'x'.repeat(256)]) expect(() => start(name)).toThrow(expect.objectContaining({ code: 'socket-name-invalid' }))
  })
})

describe('findCommand', () => {
  test('a missing command is an error that names the command, the folder and the PATH', () => {
    const find = (): unknown => spawnWithSockets({ command: ['nose', 'x'], cwd: appsFolder, env: { PATH: '/usr/bin:/bin' }, sockets: [], stdout: 1, stderr: 2 })
    expect(find).toThrow(expect.objectContaining({ code: 'command-not-found', message: `command "nose" was not found in ${appsFolder} with PATH=/usr/bin:/bin` }))
    expect(() => findCommand('', appsFolder, undefined)).toThrow(expect.objectContaining({ code: 'command-not-found' }))
  })

  test('a relative command is looked up in the release’s folder, and so is a relative element of PATH', () => {
    const folder = temporaryFolder()
    mkdirSync(path.join(folder, 'bin'))
    const script = path.join(folder, 'bin', 'serve')
    writeFileSync(script, '#!/bin/sh\n', { mode: 0o755 })
    expect(findCommand('./bin/serve', folder, undefined)).toBe(script)
    expect(findCommand('serve', folder, '/nowhere:bin')).toBe(script)
    expect(findCommand('sh', folder, undefined)).toMatch(/\/sh$/)
  })

  test('a file that is not executable, and a folder, are told apart from a missing one', () => {
    const folder = temporaryFolder()
    writeFileSync(path.join(folder, 'serve'), '#!/bin/sh\n', { mode: 0o644 })
    expect(() => findCommand('./serve', folder, undefined)).toThrow(expect.objectContaining({ code: 'command-not-executable', hint: expect.stringContaining('chmod') as string }))
    expect(() => findCommand(folder, '/', undefined)).toThrow(expect.objectContaining({ code: 'command-not-executable', message: expect.stringContaining('is a folder') as string }))
    chmodSync(path.join(folder, 'serve'), 0o755)
    expect(findCommand('./serve', folder, undefined)).toBe(path.join(folder, 'serve'))
  })

  test('a script whose interpreter is missing is an error that names the interpreter', () => {
    const folder = temporaryFolder()
    writeFileSync(path.join(folder, 'serve'), '#!/opt/none/python3 -u\n', { mode: 0o755 })
    expect(() => findCommand('./serve', folder, undefined)).toThrow(expect.objectContaining({ code: 'command-not-found', message: expect.stringContaining('/opt/none/python3') as string }))
  })

  test('a folder that does not exist is not mistaken for a missing command', () => {
    expect(() => findCommand('sh', '/no/such/folder', '/bin')).toThrow(expect.objectContaining({ code: 'cwd-not-found' }))
  })
})

test('childEnvironment drops what belongs to the parent alone and keeps the rest', () => {
  const base = {
    PATH: '/bin', NODE_OPTIONS: '--max-old-space-size=100', GRACER_STATE: 'x', LISTEN_PID: '1', LISTEN_FDS: '1', NOTIFY_SOCKET: '/run/s',
    npm_config_cache: 'x', NPM_TOKEN: 'x', npm_lifecycle_event: 'start', MY_LISTEN_PORT: '1', NOTIFY_SOCKETS: '1', EMPTY: undefined, GONE: '1',
  }
  expect(childEnvironment(base, { PORT: '1', GRACER_RELEASE: 'v2', PATH: '/usr/bin', GONE: undefined })).toEqual({
    PATH: '/usr/bin', NODE_OPTIONS: '--max-old-space-size=100', MY_LISTEN_PORT: '1', NOTIFY_SOCKETS: '1', PORT: '1', GRACER_RELEASE: 'v2',
  })
})

describe('NotifyLines', () => {
  const push = (lines: NotifyLines, text: string): [string, string][] => lines.push(Buffer.from(text))

  test('puts lines together from pieces, also in the middle of a character', () => {
    const lines = new NotifyLines()
    const bytes = Buffer.from('STATUS=grün=gut\nREADY=1\r\nSTOP')
    const cut = bytes.indexOf(0xc3) + 1
    expect(lines.push(bytes.subarray(0, cut))).toEqual([])
    expect(lines.push(bytes.subarray(cut))).toEqual([['STATUS', 'grün=gut'], ['READY', '1']])
    expect(push(lines, 'PING=1\n')).toEqual([['STOPPING', '1']])
  })

  test('drops what is not KEY=value and goes on with the next line', () => {
    const lines = new NotifyLines()
    expect(push(lines, 'hello\n\n=1\nlower=1\nREADY=1\n')).toEqual([['READY', '1']])
    expect(lines.dropped).toBe(4)
  })

  test('an endless line is dropped once, costs no memory, and the next line is read', () => {
    const lines = new NotifyLines()
    const chunk = Buffer.alloc(1 << 20, 'x')
    const before = process.memoryUsage().heapUsed
    for (let i = 0; i < 200; i++) expect(lines.push(chunk)).toEqual([])
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(60 << 20)
    expect(push(lines, '\nREADY=1\n')).toEqual([['READY', '1']])
    expect(lines.dropped).toBe(1)
  })

  test('the longest line is still read, one longer is not', () => {
    const lines = new NotifyLines()
    const value = 'x'.repeat(longestNotifyLine - 'A='.length)
    expect(push(lines, `A=${value}\nB=${value}x\nREADY=1\n`)).toEqual([['A', value], ['READY', '1']])
  })
})

test('a child that floods its notify stream is read on and still heard', async () => {
  const app = await startScript('const fd = Number(process.env.GRACER_NOTIFY_FD); const fs = require("fs"); const x = "x".repeat(1 << 16); for (let i = 0; i < 100; i++) fs.writeSync(fd, x); fs.writeSync(fd, "\\nREADY=1\\n")')
  await app.notice('READY')
  await until('the end of the child', () => app.child.exitCode === 0)
  expect(app.notices).toEqual([['READY', '1']])
})
