import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'

import { adoptSocket, bindWithoutAccepting } from '../../inherit/bare-socket.ts'
import { bindFailure, describeAddress } from '../../inherit/bind-failure.ts'
import { servesHost } from '../../inherit/same-address.ts'
import { cleanUp, get, onCleanUp, socketsOf, startApp, temporaryFolder } from './support.ts'

afterEach(cleanUp)

function held(host: string, port = 0): ReturnType<typeof bindWithoutAccepting> {
  const socket = bindWithoutAccepting(host, port)
  onCleanUp(() => socket.close())
  return socket
}

async function listeningServer(host: string): Promise<number> {
  const server = net.createServer((socket) => socket.on('error', () => {}))
  server.on('error', () => {})
  server.listen(0, host)
  await once(server, 'listening')
  onCleanUp(() => server.close())
  return (server.address() as net.AddressInfo).port
}

describe('bindWithoutAccepting', () => {
  test.each(['127.0.0.1', '::1', '0.0.0.0'])('holds a port on %s, and close() gives it back', (host) => {
    const before = socketsOf('self').length
    const socket = held(host)
    expect(socket.host).toBe(host)
    expect(socket.port).toBeGreaterThan(0)
    expect(socketsOf('self').length).toBe(before + 1)
    socket.close()
    socket.close()
    expect(socketsOf('self').length).toBe(before)
    expect(held(host, socket.port).port).toBe(socket.port)
  })

  test('refuses connections until somebody listens, instead of accepting them itself', async () => {
    const socket = held('127.0.0.1')
    await expect(get(socket.port)).rejects.toThrow('ECONNREFUSED')
  })

  test.each([['the same address', '127.0.0.1', '127.0.0.1'], ['every address', '0.0.0.0', '127.0.0.1'], ['both families', '::', '0.0.0.0']])(
    'fails at once where somebody listens on %s, and leaves no descriptor open', async (_what, theirs, ours) => {
      const port = await listeningServer(theirs)
      const before = socketsOf('self').length
      expect(() => bindWithoutAccepting(ours, port)).toThrow(expect.objectContaining({ code: 'port-taken', message: expect.stringContaining(`${ours}:${port}`) as string }))
      await expect.poll(() => socketsOf('self').length).toBe(before)
    })

  test('takes literals only: a name would be resolved by nobody', () => {
    expect(() => bindWithoutAccepting('localhost', 0)).toThrow(expect.objectContaining({ code: 'host-not-literal' }))
  })

  test('says when the address is not of this machine', () => {
    // 192.0.2.0/24 is for documentation (RFC 5737).
    expect(() => bindWithoutAccepting('192.0.2.1', 0)).toThrow(expect.objectContaining({ code: 'address-not-available' }))
  })

  test('a port that may not be taken is told apart from a taken one, with the remedy', () => {
    const error = bindFailure('0.0.0.0:80', Object.assign(new Error('listen EACCES'), { code: 'EACCES' }))
    expect(error).toMatchObject({ code: 'port-forbidden', message: expect.stringContaining('0.0.0.0:80') as string, hint: expect.stringContaining('CAP_NET_BIND_SERVICE') as string })
    expect(bindFailure('x', Object.assign(new Error(), { errno: -13 })).code).toBe('port-forbidden')
  })

  test('a child killed with -9 leaves clients in the kernel’s queue, and the next child answers them', async () => {
    const socket = held('127.0.0.1')
    const first = await startApp({ command: [process.execPath, 'inherit-library.mjs'], fds: [socket.fd] })
    await first.notice('READY')
    expect(JSON.parse((await get(socket.port)).body)).toMatchObject({ pid: first.pid })
    await first.stop()
    const waiting = [get(socket.port), get(socket.port), get(socket.port)]
    const second = await startApp({ command: [process.execPath, 'inherit-library.mjs'], fds: [socket.fd] })
    for (const reply of await Promise.all(waiting)) expect(JSON.parse(reply.body)).toMatchObject({ pid: second.pid })
  })
})

describe('adoptSocket', () => {
  test('takes over a descriptor whose real address is the wanted one', () => {
    const { fd, port } = held('127.0.0.1')
    expect(adoptSocket(fd, { host: '127.0.0.1', port })).toMatchObject({ fd, host: '127.0.0.1', port })
  })

  test('refuses another port and another host, and names both addresses', () => {
    const { fd, port } = held('0.0.0.0')
    expect(() => adoptSocket(fd, { port: port - 1 })).toThrow(expect.objectContaining({ code: 'socket-address-mismatch' }))
    expect(() => adoptSocket(fd, { host: '127.0.0.1', port })).toThrow(`descriptor ${fd} is bound to 0.0.0.0:${port}, not to 127.0.0.1:${port}`)
  })

  test('refuses a file and a closed descriptor', () => {
    const file = openSync('/dev/null', 'r')
    onCleanUp(() => closeSync(file))
    for (const fd of [file, 9999]) {
      expect(() => adoptSocket(fd)).toThrow(expect.objectContaining({ code: 'not-a-listening-socket', message: expect.stringContaining(String(fd)) as string }))
    }
  })

  test('refuses a unix socket and an accepted connection', async () => {
    const unix = net.createServer()
    unix.on('error', () => {})
    unix.listen(path.join(temporaryFolder(), 's'))
    await once(unix, 'listening')
    onCleanUp(() => unix.close())
    const client = net.connect(await listeningServer('127.0.0.1'), '127.0.0.1')
    client.on('error', () => {})
    onCleanUp(() => client.destroy())
    await once(client, 'connect')
    expect(adoptedInChild(unix)).toContain('not-a-listening-socket descriptor 3 is not a TCP socket one can listen on: it is a unix socket')
    expect(adoptedInChild(client)).toContain('not-a-listening-socket descriptor 3 is not a TCP socket one can listen on: it is one accepted connection')
  })
})

/** What adoptSocket says of this socket in a process that inherits it at descriptor 3. */
function adoptedInChild(socket: net.Server | net.Socket): string {
  const { fd } = (socket as unknown as { _handle: { fd: number } })._handle
  const library = new URL('../../dist/inherit/index.js', import.meta.url).href
  const program = `import { adoptSocket } from '${library}'; try { adoptSocket(3) } catch (error) { console.log(error.code, error.message) }`
  return spawnSync(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'inherit', fd], encoding: 'utf8' }).stdout
}

describe('servesHost', () => {
  test.each([
    ['::1', '0:0:0:0:0:0:0:1', true], ['::', '0.0.0.0', true], ['::ffff:127.0.0.1', '127.0.0.1', true], ['fe80::1%eth0', 'FE80::1%eth0', true],
    ['0.0.0.0', '127.0.0.1', false], ['::', '127.0.0.1', false], ['0.0.0.0', '::', false], ['127.0.0.1', '127.0.0.2', false],
  ])('a socket on %s serves who asked for %s: %s', (actual, wanted, expected) => {
    expect(servesHost(actual, wanted)).toBe(expected)
  })
})

test('addresses are written with brackets around IPv6', () => {
  expect(describeAddress('::1', 80)).toBe('[::1]:80')
})
