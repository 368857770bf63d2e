import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import net from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'

import { takeUpSockets } from '../../inherit/inherited-sockets.ts'
import { cleanUp, onCleanUp, socketsOf } from './support.ts'

afterEach(cleanUp)

const library = new URL('../../dist/inherit/index.js', import.meta.url).href

async function server(host = '127.0.0.1'): Promise<{ fd: number; port: number }> {
  const listening = net.createServer((socket) => socket.on('error', () => {}))
  listening.on('error', () => {})
  listening.listen(0, host)
  await once(listening, 'listening')
  onCleanUp(() => listening.close())
  return { fd: (listening as unknown as { _handle: { fd: number } })._handle.fd, port: (listening.address() as net.AddressInfo).port }
}

/** Runs `program` in a child with these descriptors from 3 on; `sockets`, `env` and `print` are at hand. Gives what it printed. */
function inChild(fds: number[], env: Record<string, string>, program: string): unknown {
  const text = `
    import { takeUpSockets } from '${library}'
    import fs from 'node:fs'
    const print = (value) => console.log(JSON.stringify(value))
    const open = () => fs.readdirSync('/proc/self/fd').map((fd) => { try { return fs.readlinkSync('/proc/self/fd/' + fd) } catch { return '' } }).filter((target) => target.startsWith('socket:')).length
    const env = process.env
    if (env.LISTEN_PID === 'own') env.LISTEN_PID = String(process.pid)
    let sockets
    try { sockets = takeUpSockets() } catch (error) { print({ code: error.code, message: error.message }); process.exit() }
    ${program}`
  const ran = spawnSync(process.execPath, ['--input-type=module', '-e', text], { stdio: ['ignore', 'pipe', 'inherit', ...fds], env: { PATH: process.env['PATH'], ...env }, encoding: 'utf8' })
  return JSON.parse(ran.stdout)
}

describe('takeUpSockets', () => {
  test('opens the sockets, reads their real addresses, and removes the variables', async () => {
    const [http, admin] = [await server(), await server('::1')]
    const env = { LISTEN_PID: 'own', LISTEN_FDS: '2', LISTEN_FDNAMES: 'http:admin', GRACER_NOTIFY_FD: '5' }
    const seen = inChild([http.fd, admin.fd], env, `print({
      sockets: sockets.unused.map(({ name, fd, address }) => ({ name, fd, address })), notifyFd: sockets.notifyFd,
      left: Object.keys(env).filter((name) => /^(LISTEN|GRACER)_/.test(name)) })`)
    expect(seen).toEqual({
      sockets: [{ name: 'http', fd: 3, address: { host: '127.0.0.1', port: http.port } }, { name: 'admin', fd: 4, address: { host: '::1', port: admin.port } }],
      notifyFd: 5,
      left: [],
    })
  })

  test('sockets are taken by name, by address, or the first, each of them once', async () => {
    const [a, b, c] = [await server(), await server(), await server()]
    const env = { LISTEN_PID: 'own', LISTEN_FDS: '3', LISTEN_FDNAMES: 'a:b:c' }
    const seen = inChild([a.fd, b.fd, c.fd], env, `
      const name = (choice) => sockets.take(choice)?.name ?? null
      print([name({ name: 'c' }), name({ name: 'c' }), name({ port: ${b.port}, host: '127.0.0.2' }), name({ port: ${b.port}, host: '127.0.0.1' }), name({ kind: 'unix' }), name(), name()])`)
    expect(seen).toEqual(['c', null, null, 'b', null, 'a', null])
  })

  test('closeUnused closes what nobody took, and only that', async () => {
    const [a, b, c] = [await server(), await server(), await server()]
    const seen = inChild([a.fd, b.fd, c.fd], { LISTEN_PID: 'own', LISTEN_FDS: '3' }, `
      const before = open()
      sockets.take()
      const closed = sockets.closeUnused()
      print({ closed, fewer: before - open(), again: sockets.closeUnused(), left: sockets.take() ?? null })`)
    expect(seen).toEqual({ closed: 2, fewer: 2, again: 0, left: null })
  })

  test('another process’s variables give nothing and stay, and its notify descriptor is not touched', () => {
    const env = { LISTEN_PID: '1', LISTEN_FDS: '1', LISTEN_FDNAMES: 'x', GRACER_NOTIFY_FD: '4' }
    const sockets = takeUpSockets(env, 2)
    expect(sockets.unused).toEqual([])
    expect(sockets.notifyFd).toBeUndefined()
    expect(env).toEqual({ LISTEN_PID: '1', LISTEN_FDS: '1', LISTEN_FDNAMES: 'x', GRACER_NOTIFY_FD: '4' })
  })

  test('without sockets the notify descriptor is found by GRACER_NOTIFY_PID, where that is this process', () => {
    const env: Record<string, string> = { GRACER_NOTIFY_FD: '3', GRACER_NOTIFY_PID: '7' }
    expect(takeUpSockets(env, 8).notifyFd).toBeUndefined()
    expect(takeUpSockets(env, 7).notifyFd).toBe(3)
    expect(env).toEqual({})
    expect(takeUpSockets({ GRACER_NOTIFY_FD: '3', GRACER_NOTIFY_PID: '7', LISTEN_PID: '8', LISTEN_FDS: '0' }, 8).notifyFd).toBeUndefined()
  })

  test('an empty environment gives nothing', () => {
    expect(takeUpSockets({}, 1).take()).toBeUndefined()
    expect(takeUpSockets({ LISTEN_PID: '1', LISTEN_FDS: '0', LISTEN_FDNAMES: '' }, 1).unused).toEqual([])
  })

  test.each([
    [{ LISTEN_FDS: 'many' }, 'LISTEN_FDS="many"'],
    [{ LISTEN_FDS: '-1' }, 'LISTEN_FDS="-1"'],
    [{ LISTEN_FDS: '1e3' }, 'LISTEN_FDS="1e3"'],
    [{ LISTEN_FDS: '99999' }, '1024'],
    [{ LISTEN_FDS: '1', LISTEN_FDNAMES: 'a:b' }, 'has 2 names ("a:b") and LISTEN_FDS says 1'],
    [{ LISTEN_FDS: '2', LISTEN_FDNAMES: 'a' }, 'has 1 names'],
    [{ LISTEN_PID: 'me' }, 'LISTEN_PID="me"'],
    [{ GRACER_NOTIFY_FD: '1', LISTEN_FDS: '0' }, 'GRACER_NOTIFY_FD="1"'],
  ])('%j is refused with a text that says which value is wrong', (bad, text) => {
    const before = socketsOf('self').length
    expect(() => takeUpSockets({ LISTEN_PID: '1', ...bad }, 1)).toThrow(expect.objectContaining({ code: 'inherit-invalid', message: expect.stringContaining(text) as string }))
    expect(socketsOf('self').length).toBe(before)
  })

  test('a descriptor that is a file, or closed, is refused by number and name', async () => {
    const file = openSync('/dev/null', 'r')
    onCleanUp(() => closeSync(file))
    const env = { LISTEN_PID: 'own', LISTEN_FDS: '2', LISTEN_FDNAMES: 'http:admin' }
    const good = await server()
    expect(inChild([good.fd, file], env, '')).toMatchObject({ code: 'inherit-invalid', message: expect.stringContaining('descriptor 4 ("admin")') as string })
    expect(inChild([], { ...env, LISTEN_FDS: '1', LISTEN_FDNAMES: 'x' }, '')).toMatchObject({ code: 'inherit-invalid' })
  })

  test('one accepted connection is refused: nothing can be accepted on it', async () => {
    const { port } = await server()
    const client = net.connect(port, '127.0.0.1')
    client.on('error', () => {})
    onCleanUp(() => client.destroy())
    await once(client, 'connect')
    const { fd } = (client as unknown as { _handle: { fd: number } })._handle
    expect(inChild([fd], { LISTEN_PID: 'own', LISTEN_FDS: '1' }, '')).toMatchObject({ message: expect.stringContaining('accepted connection') as string })
  })
})
