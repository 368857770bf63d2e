import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, existsSync, mkdirSync, readFileSync, realpathSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import { afterEach, describe, expect, test } from 'vitest'

import { root } from '../../support/gracer-process.ts'
import { until } from '../../support/deadline.ts'
import { runs } from '../../support/standalone.ts'
import { watchedBy } from '../../../inherit/upgrade/watched-by.ts'
import { cleanUp, descriptorsOf, onCleanUp, startApp, temporaryFolder } from '../support.ts'
import { settled, start, upgraded } from './support.ts'

afterEach(cleanUp)

function ps(pid: number): string {
  return execFileSync('ps', ['-o', 'args=', '-p', String(pid)], { encoding: 'utf8' }).trim()
}

test('arguments, environment, title and flags are the same in every generation', async () => {
  const program = await start({
    command: ['node', '--no-deprecation', 'server.mjs', '--name', 'a b'],
    env: { NODE_OPTIONS: '--no-warnings', GRACER_STATE: '/srv', npm_package_name: 'x', 'my.setting': 'odd', SHLVL: '3' },
  })
  const first = await program.self()
  const args = ps(first.pid)
  for (const generation of [2, 3]) {
    const pid = await upgraded(program)
    await settled(program)
    const now = await program.self()
    expect(now).toEqual({ ...first, pid, generation })
    expect(ps(pid)).toBe(args)
  }
  expect(first.env['NODE_OPTIONS']).toBe('--no-warnings')
  expect(first.execArgv).toEqual(['--no-deprecation'])
}, 40_000)

test('a variable that is not there is not there in the next generation either, not even one that shells set', async () => {
  const program = await start({ env: { PWD: undefined, OLDPWD: undefined, SHLVL: undefined, _: undefined } })
  const first = await program.self()
  const pid = await upgraded(program)
  expect((await program.self()).env).toEqual(first.env)
  expect(pid).not.toBe(first.pid)
})

test('a title that the program gives itself does not come in the way', async () => {
  const program = await start({ args: ['an-argument'] })
  await program.get('/title')
  expect(ps(program.child.pid ?? 0)).toBe('a title of its own')
  await upgraded(program)
  expect((await program.self()).argv.slice(2)).toEqual(['an-argument'])
})

test('started inside `current`, or by a path through it, the next generation is the code that it has moved to', async () => {
  for (const inside of [true, false]) {
    const program = await start({
      prepare: (folder) => {
        for (const name of ['r1', 'r2']) {
          mkdirSync(join(folder, name))
          writeFileSync(join(folder, name, 'server.mjs'), `import ${JSON.stringify(pathToFileURL(join(root, 'test/apps/upgrade-app.mjs')).href)}\n`)
          writeFileSync(join(folder, name, 'release.txt'), name)
          symlinkSync(join(folder, 'serve.json'), join(folder, name, 'serve.json'))
        }
        symlinkSync('r1', join(folder, 'current'))
      },
      command: inside ? ['sh', '-c', `cd current && exec node ./server.mjs`] : ['node', 'current/server.mjs'],
    })
    expect(await program.get('/')).toBe('release r1\n')
    symlinkSync('r2', join(program.folder, 'next'))
    renameSync(join(program.folder, 'next'), join(program.folder, 'current'))
    await upgraded(program)
    expect(await program.get('/')).toBe('release r2\n')
    if (inside) expect((await program.self()).cwd).toBe(join(program.folder, 'r2'))
  }
}, 40_000)

test('a CommonJS program is the main module in every generation', async () => {
  const program = await start({
    command: ['node', 'program.cjs'],
    prepare: (folder) => {
      mkdirSync(join(folder, 'node_modules'))
      symlinkSync(root, join(folder, 'node_modules', 'gracer'))
      writeFileSync(join(folder, 'program.cjs'), `const { serve } = require('gracer')
        const { port, control } = JSON.parse(require('node:fs').readFileSync('serve.json', 'utf8'))
        serve((_request, response) => response.end(JSON.stringify({ main: require.main === module, pid: process.pid })), { port, control })`)
    },
  })
  expect(JSON.parse(await program.get('/'))).toEqual({ main: true, pid: program.child.pid })
  const pid = await upgraded(program)
  await settled(program)
  expect(JSON.parse(await program.get('/'))).toEqual({ main: true, pid })
}, 40_000)

test('with exit: false the process is left to end by itself, and nothing of serve() holds it', async () => {
  const program = await start({ serve: { exit: false } })
  await upgraded(program)
  expect(await program.exited).toBe(0)
})

test('the pid file names the process that serves, is never half there, and goes with the last one', async () => {
  const program = await start({ serve: { pidFile: 'pid' } })
  const file = join(program.folder, 'pid')
  expect(readFileSync(file, 'utf8')).toBe(`${program.child.pid}\n`)
  const seen = new Set<string>()
  let watching = true
  const watch = (async () => {
    while (watching) {
      seen.add(readFileSync(file, 'utf8'))
      await new Promise((resolve) => setImmediate(resolve))
    }
  })()
  const pid = await upgraded(program)
  watching = false
  await watch
  expect([...seen]).toEqual([`${program.child.pid}\n`, `${pid}\n`])
  process.kill(pid, 'SIGTERM')
  await until('its end', () => !runs(pid))
  expect(existsSync(file)).toBe(false)
})

test('the reader of its output goes: the program writes on into nothing and serves', async () => {
  const program = await start({ command: ['sh', '-c', 'node server.mjs 2>&1 | head -n 1 > first-line'] })
  await until('head to be gone', () => readFileSync(join(program.folder, 'first-line'), 'utf8') !== '')
  const before = (await program.self()).pid
  const pid = await upgraded(program)
  expect(pid).not.toBe(before)
  // Its first line went into the broken pipe.
  expect((await program.self()).pid).toBe(pid)
  await until('the old one to be gone', async () => (await program.describe()).leaving === null)
  await upgraded(program)
}, 40_000)

describe('under systemd', () => {
  /** A datagram socket that keeps what systemd-notify sends, since plain Node has none. */
  async function notifySocket(): Promise<{ path: string; heard(): string[] }> {
    const folder = temporaryFolder()
    const [path, out] = [join(folder, 'notify'), join(folder, 'heard')]
    const listener = `import socket,sys
s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM); s.bind(sys.argv[1]); print('bound',flush=True)
while True:
  text=s.recv(4096).decode()
  if text!='BARRIER=1': open(sys.argv[2],'a').write(text.replace('\\n',' ').strip()+'\\n')`
    const child = spawn('python3', ['-c', listener, path, out], { stdio: ['ignore', 'pipe', 'inherit'] })
    onCleanUp(() => child.kill('SIGKILL'))
    await once(child.stdout, 'data')
    return { path, heard: () => (existsSync(out) ? readFileSync(out, 'utf8').trim().split('\n') : []) }
  }

  const hasCommand = spawnSyncOk('systemd-notify', ['--version'])

  test.skipIf(!hasCommand)('MAINPID is told through systemd-notify: at the start, and before the old one leaves', async () => {
    const { path, heard } = await notifySocket()
    const program = await start({ env: { NOTIFY_SOCKET: path } })
    await until('the first word', () => heard().length === 1)
    const pid = await upgraded(program)
    expect(heard()).toEqual([`READY=1 MAINPID=${program.child.pid}`, `READY=1 MAINPID=${pid}`])
    await settled(program)
    const third = await upgraded(program)
    expect(heard().at(-1)).toBe(`READY=1 MAINPID=${third}`)
  }, 40_000)

  test.skipIf(!hasCommand)('a parent in front is told of once', async () => {
    const { path, heard } = await notifySocket()
    const program = await start({ env: { NOTIFY_SOCKET: path }, serve: { front: true } })
    await until('the first word', () => heard().length === 1)
    await upgraded(program)
    expect(heard()).toEqual([`READY=1 MAINPID=${program.child.pid}`])
  })

  test('without systemd-notify it says so and serves', async () => {
    const program = await start({ command: [process.execPath, 'server.mjs'], env: { NOTIFY_SOCKET: '/nowhere', PATH: '/nowhere' } })
    await until('the word', () => program.log().includes('systemd-notify was not found'))
    await upgraded(program)
  })

  test('a socket of systemd’s is taken up, and handed on', async () => {
    const folder = temporaryFolder()
    writeFileSync(join(folder, 'serve.json'), JSON.stringify({ port: 1, control: join(folder, 'run', 'c.sock'), confirmMs: 50 }))
    writeFileSync(join(folder, 'server.mjs'), `import ${JSON.stringify(pathToFileURL(join(root, 'test/apps/upgrade-app.mjs')).href)}\n`)
    // startApp passes a notify descriptor as well; its number means nothing without a name for it.
    const app = await startApp({ command: ['sh', '-c', 'unset GRACER_NOTIFY_FD GRACER_NOTIFY_PID; cd "$0" && exec node server.mjs', folder] })
    const self = await until('an answer', () => fetch(`http://127.0.0.1:${app.port}/self`, { headers: { connection: 'close' } }).then((reply) => reply.json() as Promise<{ pid: number; generation: number }>).catch(() => null))
    expect(self).toMatchObject({ pid: app.pid, generation: 1 })
    process.kill(app.pid, 'SIGUSR2')
    const next = await until('the next generation', async () => {
      const reply = (await (await fetch(`http://127.0.0.1:${app.port}/self`, { headers: { connection: 'close' } })).json()) as { pid: number; generation: number }
      return reply.generation === 2 ? reply : null
    })
    onCleanUp(() => process.kill(next.pid, 'SIGKILL'))
    expect(next.pid).not.toBe(app.pid)
  }, 40_000)
})

function spawnSyncOk(command: string, args: string[]): boolean {
  try {
    execFileSync(command, args, { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

describe('where the end of the process is the end of the service', () => {
  test.each([
    ['process 1', {}, 1, /it is process 1/],
    ['a systemd unit without a notify socket', { SYSTEMD_EXEC_PID: '7' }, 7, /Type=notify/],
    ['pm2', { pm_id: '0' }, 7, /pm2/],
    ['supervisord', { SUPERVISOR_ENABLED: '1' }, 7, /supervisord/],
  ] as const)('it is known: %s', (_, env, pid, expected) => {
    expect(watchedBy(env, pid, shell)).toMatch(expected)
  })

  const shell = { pid: 1, name: 'sh' }

  test('and it is not where systemd can be told, or another process is watched', () => {
    expect(watchedBy({ SYSTEMD_EXEC_PID: '7', NOTIFY_SOCKET: '/run/systemd/notify' }, 7, shell)).toBeUndefined()
    expect(watchedBy({ SYSTEMD_EXEC_PID: '6' }, 7, shell)).toBeUndefined()
    expect(watchedBy({}, 7, { pid: 6, name: 'npm start' })).toBeUndefined()
  })

  test('the upgrade is refused, with what to do, and the program serves on; a parent in front cures it', async () => {
    const alone = await start({ env: { pm_id: '0' } })
    expect(await alone.upgrade()).toMatchObject({ ok: false, code: 'spawn', reason: expect.stringContaining('pm2 watches it') as string, hint: expect.stringContaining('front: true') as string })
    expect(await alone.answers()).toBe(true)
    const behind = await start({ env: { pm_id: '0' }, serve: { front: true } })
    await upgraded(behind)
  }, 40_000)

  const unshare = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc']
  const contained = test.skipIf(!spawnSyncOk(unshare[0] as string, [...unshare.slice(1), 'true']))

  contained('the init of a container ends with its one child: the upgrade is refused', async () => {
    const init = join(temporaryFolder(), 'tini')
    copyFileSync(realpathSync('/bin/sh'), init)
    const program = await start({ command: [...unshare, init, '-c', `${process.execPath} server.mjs; exit $?`] })
    expect(await program.upgrade()).toMatchObject({ ok: false, code: 'spawn', reason: expect.stringContaining('process 1 of its container (tini) ends with it') as string })
  }, 40_000)

  contained('a parent in front as process 1 of a container: upgrades, and ends in order on its SIGTERM', async () => {
    const program = await start({ command: [...unshare, process.execPath, 'server.mjs'], serve: { front: true } })
    const inside = await program.self()
    expect(await program.upgrade()).toMatchObject({ ok: true, generation: 2 })
    await until('the old one to be gone', async () => (await program.describe()).leaving === null)
    expect((await program.self()).pid).not.toBe(inside.pid)
    const one = Number(execFileSync('ps', ['-o', 'pid=', '--ppid', String(program.child.pid)], { encoding: 'utf8' }).trim())
    const slow = program.get('/slow?ms=700')
    await until('a reply meanwhile', () => program.answers())
    process.kill(one, 'SIGTERM')
    expect(await slow).toBe('waited 700 ms\n')
    expect(await program.exited).toBe(0)
    expect(program.pids()).toEqual([])
  }, 40_000)
})

test('in a worker thread, which cannot end the process, an upgrade is refused', async () => {
  const library = pathToFileURL(join(root, 'dist/inherit/index.js')).href
  const worker = new Worker(`import(${JSON.stringify(library)}).then(async ({ serve }) => {
    const running = await serve(() => {}, { host: '127.0.0.1', log: false })
    await running.upgrade().catch(({ code, reason }) => require('node:worker_threads').parentPort.postMessage({ code, reason }))
  })`, { eval: true })
  onCleanUp(() => void worker.terminate())
  expect((await once(worker, 'message'))[0]).toEqual({ code: 'spawn', reason: 'this is a worker thread, which cannot end its process' })
})

test('as a backend of gracer it takes the socket, says READY, drains on SIGTERM, and leaves upgrades to gracer', async () => {
  const folder = temporaryFolder()
  writeFileSync(join(folder, 'serve.json'), JSON.stringify({ port: 1, front: true, control: join(folder, 'run', 'c.sock') }))
  writeFileSync(join(folder, 'server.mjs'), `import ${JSON.stringify(pathToFileURL(join(root, 'test/apps/upgrade-app.mjs')).href)}\n`)
  const app = await startApp({ command: [process.execPath, join(folder, 'server.mjs')], env: { GRACER_RELEASE: 'v1' } })
  await app.notice('READY')
  const get = (path: string): Promise<string> => fetch(`http://127.0.0.1:${app.port}${path}`, { headers: { connection: 'close' } }).then((reply) => reply.text())
  expect(JSON.parse(await get('/self'))).toMatchObject({ pid: app.pid, generation: 1 })
  expect(JSON.parse(await get('/upgrade-itself'))).toMatchObject({ code: 'under-gracer' })
  process.kill(app.pid, 'SIGUSR2')
  await until('the hint', () => app.log().includes('Use "gracer swap".'))
  const slow = get('/slow?ms=500')
  await until('a reply meanwhile', () => get('/'))
  process.kill(app.pid, 'SIGTERM')
  expect(await slow).toBe('waited 500 ms\n')
  await app.notice('STOPPING')
  expect((await once(app.child, 'exit'))[0]).toBe(0)
})

test('the successor has the sockets from descriptor 3 on, and nothing else of the old one’s', async () => {
  const program = await start()
  const kinds = async (pid: number): Promise<string[]> => [...descriptorsOf(pid).entries()].filter(([, target]) => target.startsWith('socket:') || target.startsWith('/')).map(([fd, target]) => (target.startsWith('socket:') ? `${fd} socket` : target)).sort()
  // The listening socket and the control socket; connections of the test itself go in a moment.
  const only = async (pid: number): Promise<string[]> => until('no more than these', async () => {
    const all = await kinds(pid)
    return all.filter((one) => one.endsWith('socket')).join() === '3 socket,4 socket' ? all : null
  })
  const second = await upgraded(program)
  await settled(program)
  const seen = await only(second)
  const third = await upgraded(program)
  await settled(program)
  expect(await only(third)).toEqual(seen)
}, 40_000)
