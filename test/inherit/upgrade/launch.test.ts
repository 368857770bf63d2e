import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, mkdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'

import { checkMain, launchFrom, type Launch } from '../../../inherit/upgrade/launch.ts'
import { cleanUp, temporaryFolder } from '../support.ts'

afterEach(cleanUp)

const module = new URL('../../../dist/inherit/upgrade/launch.js', import.meta.url).href

/** What a real process, started so, has found out about its own start. */
function launchOf(command: string, args: string[], options: { cwd: string; env?: Record<string, string>; argv0?: string; before?: string }): Launch {
  const ran = spawnSync(command, args, { cwd: options.cwd, encoding: 'utf8', env: { PATH: process.env['PATH'] ?? '', PWD: options.cwd, ...options.env }, ...(options.argv0 === undefined ? {} : { argv0: options.argv0 }) })
  if (ran.status !== 0) throw new Error(ran.stderr)
  return JSON.parse(ran.stdout) as Launch
}

function folderWithScript(before = ''): string {
  const folder = realpathSync(temporaryFolder())
  mkdirSync(path.join(folder, 'r1'))
  writeFileSync(path.join(folder, 'r1', 'server.mjs'), `${before}\nconst { ownLaunch } = await import(${JSON.stringify(module)}); console.log(JSON.stringify(ownLaunch))`)
  symlinkSync('r1', path.join(folder, 'current'))
  return folder
}

describe('what a process was started by', () => {
  test('is found as it was typed: flags, the relative script, the arguments', () => {
    const folder = folderWithScript()
    const launch = launchOf('node', ['--max-old-space-size=200', 'current/server.mjs', '--a', '', 'ü €'], { cwd: folder })
    expect(launch.command).toEqual(['node', '--max-old-space-size=200', 'current/server.mjs', '--a', '', 'ü €'])
    expect(launch.main).toBe(path.join(folder, 'current', 'server.mjs'))
  })

  test('inside a symlink that moves, the folder goes by the name that the shell had for it', () => {
    const folder = folderWithScript()
    const current = path.join(folder, 'current')
    expect(launchOf('node', ['server.mjs'], { cwd: current, env: { PWD: current } }).cwd).toBe(current)
    // A PWD that is somebody else's is not believed.
    expect(launchOf('node', ['server.mjs'], { cwd: current, env: { PWD: '/tmp' } }).cwd).toBe(path.join(folder, 'r1'))
  })

  test('a title set by the program does not hide it, nor a changed folder or environment', () => {
    const folder = folderWithScript('process.title = "mine"')
    const launch = launchOf('node', ['--no-deprecation', 'current/server.mjs', 'x'], { cwd: folder })
    expect(launch.command).toEqual(['node', '--no-deprecation', path.join(folder, 'current/server.mjs'), 'x'])
    const changed = launchOf('node', ['current/server.mjs'], { cwd: folderWithScript('process.env.ADDED = "1"; process.env.FIRST = "2"'), env: { FIRST: '1' } })
    expect(changed.env['FIRST']).toBe('1')
    expect(changed.env['ADDED']).toBeUndefined()
  })

  test('a name that is not the program’s is replaced by the path of node', () => {
    const folder = folderWithScript()
    expect(launchOf(process.execPath, ['current/server.mjs'], { cwd: folder, argv0: 'my-service' }).command[0]).toBe(process.execPath)
  })

  test('node through a symlink keeps the symlink, so that a new node takes its place', () => {
    const folder = folderWithScript()
    symlinkSync(process.execPath, path.join(folder, 'node-now'))
    expect(launchOf('./node-now', ['current/server.mjs'], { cwd: folder }).command[0]).toBe('./node-now')
  })

  test('a script with its interpreter in its first line is started by that', () => {
    const folder = folderWithScript()
    const script = path.join(folder, 'r1', 'run.mjs')
    writeFileSync(script, `#!/usr/bin/env node\nimport './server.mjs'\n`)
    chmodSync(script, 0o755)
    expect(launchOf('./current/run.mjs', ['a'], { cwd: folder }).command).toEqual(['node', './current/run.mjs', 'a'])
  })

  test('what belongs to one process alone is not handed on, and the user’s NODE_OPTIONS are', () => {
    const launch = launchFrom({
      cmdline: undefined, argv: [process.execPath], argv0: 'node', execArgv: [], execPath: process.execPath, cwd: '/', parent: { pid: 6, name: 'sh' },
      env: {
        HOME: '/root', NOTIFY_SOCKET: '/run/n', npm_package_name: 'x', LISTEN_FDS: '1', LISTEN_PID: '7', LISTEN_FDNAMES: 'a', WATCHDOG_PID: '7', NODE_CHANNEL_FD: '3', NODE_UNIQUE_ID: '1',
        GRACER_SUCCESSOR: '{}', GRACER_NOTIFY_FD: '4', GRACER_NOTIFY_PID: '7', GRACER_WITNESS: '1', NODE_OPTIONS: '--no-warnings --import=data:x', GRACER_NODE_OPTIONS: '--no-warnings',
      },
    })
    expect(launch.env).toEqual({ HOME: '/root', NOTIFY_SOCKET: '/run/n', npm_package_name: 'x', NODE_OPTIONS: '--no-warnings' })
  })
})

describe('checkMain', () => {
  const launch = (main: string | undefined): Launch => ({ command: ['node'], cwd: '/', env: {}, main, parent: { pid: 6, name: 'sh' } })

  test('a script that is gone, or may not be read, is known before the start', () => {
    const folder = temporaryFolder()
    expect(() => checkMain(launch(path.join(folder, 'server.mjs')))).toThrow(/server\.mjs, which this process was started from, is gone/)
    copyFileSync(import.meta.filename, path.join(folder, 'server.mjs'))
    checkMain(launch(path.join(folder, 'server.mjs')))
    checkMain(launch(folder))
    checkMain(launch(undefined))
  })
})
