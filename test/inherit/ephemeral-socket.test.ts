import net from 'node:net'
import { afterEach, expect, test } from 'vitest'

import { freePort, listenEphemeral } from '../../inherit/ephemeral-socket.ts'
import { cleanUp, descriptorsOf, get, socketsOf } from './support.ts'

afterEach(cleanUp)

test('the socket is open during the call and closed in the same tick after it', async () => {
  const before = socketsOf('self').length
  let afterwards = -1
  const result = await listenEphemeral('127.0.0.1', (fd, port) => {
    expect(descriptorsOf('self').get(fd)).toMatch(/^socket:/)
    // Runs before anything else can: what it sees is the same tick's end.
    process.nextTick(() => (afterwards = socketsOf('self').length))
    return { port }
  })
  expect(afterwards).toBe(before)
  await expect(get(result.port)).rejects.toThrow('ECONNREFUSED')
})

test('the socket is closed when the call throws, and the error comes through as it is', async () => {
  const before = socketsOf('self').length
  const error = new Error('no such command')
  await expect(listenEphemeral('127.0.0.1', () => { throw error })).rejects.toBe(error)
  expect(socketsOf('self').length).toBe(before)
})

test('a connection made before the child listens is not accepted here', async () => {
  const client = await listenEphemeral('127.0.0.1', (_fd, port) => {
    const client = net.connect(port, '127.0.0.1')
    return new Promise<string>((resolve) => {
      client.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''))
      client.on('close', () => resolve('closed'))
    })
  })
  // Nobody took the socket, so the kernel resets what was in its queue; accepted by us it would stay open.
  expect(['ECONNRESET', 'ECONNREFUSED']).toContain(await client)
})

test('a host that is not of this machine is a clear error', async () => {
  await expect(listenEphemeral('192.0.2.1', () => 1)).rejects.toMatchObject({ code: 'address-not-available' })
})

test('freePort gives a port on which one can listen', async () => {
  const port = await freePort()
  const server = net.createServer()
  server.on('error', () => {})
  await new Promise<void>((resolve, reject) => {
    server.on('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  server.close()
})
