import { once } from 'node:events'
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import path from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'

import { freePort } from '../../inherit/ephemeral-socket.ts'
import { listen } from '../../inherit/listen.ts'
import { cleanUp, get, onCleanUp, startApp, temporaryFolder, until } from './support.ts'

afterEach(cleanUp)

function answering(text: string): http.Server {
  const server = http.createServer((_request, response) => response.end(text))
  server.on('error', () => {})
  onCleanUp(() => server.closeAllConnections())
  onCleanUp(() => server.close())
  return server
}

describe('a program of the library', () => {
  const command = [process.execPath, 'inherit-library.mjs']

  test('takes up the socket and reports its real address', async () => {
    const app = await startApp({ command })
    await app.notice('READY')
    expect(JSON.parse((await get(app.port)).body)).toEqual({ pid: app.pid, size: 0 })
    expect(app.notices.slice(0, 2)).toEqual([['STATUS', 'warming up'], ['EXTEND_TIMEOUT_USEC', '1500000']])
    await until('its address', () => app.log() === `{"host":"127.0.0.1","port":${app.port},"path":null,"inherited":true}\n`)
  })

  test('takes the socket that it names', async () => {
    const app = await startApp({ command, socketNames: ['admin', 'http'], env: { SOCKET_NAME: 'http' } })
    await app.notice('READY')
    expect((await get(app.port)).status).toBe(200)
  })

  test('binds its own port where no socket has the name', async () => {
    const app = await startApp({ command, socketNames: ['admin'], env: { SOCKET_NAME: 'http' } })
    await app.notice('READY')
    const { port, inherited } = JSON.parse(await until('its address', () => app.log().trim() || undefined)) as { port: number; inherited: boolean }
    expect(inherited).toBe(false)
    expect((await get(port)).status).toBe(200)
    await expect(get(app.port)).rejects.toThrow('ECONNREFUSED')
  })

  test('takes the socket although it was written for another port', async () => {
    const app = await startApp({ command, env: { APP_PORT: String(await freePort()) } })
    await app.notice('READY')
    expect((await get(app.port)).status).toBe(200)
  })

  test('works with the preload in front of it, which leaves the socket to the library', async () => {
    const preload = new URL('../../dist/inherit/preload.js', import.meta.url).href
    const app = await startApp({ command: [process.execPath, '--import', preload, 'inherit-library.mjs'] })
    await app.notice('READY')
    expect(JSON.parse((await get(app.port)).body)).toMatchObject({ pid: app.pid })
    expect(app.notices.filter(([key]) => key === 'READY').length).toBe(1)
  })
})

describe('listen without anything handed down', () => {
  test('binds where it is told and gives the address', async () => {
    const server = answering('hello')
    const address = await listen(server, { host: '127.0.0.1' })
    expect(address).toMatchObject({ host: '127.0.0.1', path: null, inherited: false })
    expect((await get(address.port ?? 0)).body).toBe('hello')
  })

  test('a taken port is rejected by code and address', async () => {
    const { port } = await listen(answering('first'), { host: '127.0.0.1' })
    await expect(listen(answering('second'), { host: '127.0.0.1', port: port ?? 0 })).rejects.toMatchObject({ code: 'port-taken', message: expect.stringContaining(`127.0.0.1:${port}`) as string })
  })

  test('a port out of range, and a server that listens already, are rejected and leave no listener behind', async () => {
    const server = answering('x')
    await expect(listen(server, { port: 70_000 })).rejects.toMatchObject({ code: 'listen-options' })
    await listen(server, { host: '127.0.0.1' })
    await expect(listen(server, { host: '127.0.0.1' })).rejects.toMatchObject({ code: 'bind-failed' })
    expect(server.listenerCount('error')).toBe(1)
    expect(server.listeners('listening').filter((listener) => listener.name === 'succeeded')).toEqual([])
  })
})

describe('a unix socket', () => {
  test('is reachable at its path, and the old server’s close does not take its successor’s path away', async () => {
    const folder = temporaryFolder()
    const socketPath = path.join(folder, 'app.sock')
    const [old, next] = [answering('old'), answering('next')]
    expect(await listen(old, { path: socketPath })).toEqual({ host: null, port: null, path: socketPath, inherited: false })
    expect((await get(0, { socketPath })).body).toBe('old')
    await listen(next, { path: socketPath })
    expect((await get(0, { socketPath })).body).toBe('next')
    old.close()
    await once(old, 'close')
    expect((await get(0, { socketPath })).body).toBe('next')
    expect(readdirSync(folder)).toEqual(['app.sock'])
  })

  test('what a killed predecessor left in the way is replaced', async () => {
    const folder = temporaryFolder()
    const socketPath = path.join(folder, 'app.sock')
    writeFileSync(`${socketPath}.${process.pid}.tmp`, '')
    await listen(answering('here'), { path: socketPath })
    expect((await get(0, { socketPath })).body).toBe('here')
  })

  test('a file of somebody else’s is left alone', async () => {
    const file = path.join(temporaryFolder(), 'app.sock')
    writeFileSync(file, 'precious')
    await expect(listen(answering('x'), { path: file })).rejects.toMatchObject({ code: 'path-not-a-socket' })
    expect(existsSync(file)).toBe(true)
  })

  test('a path that the kernel would cut off in silence is refused', async () => {
    const long = path.join(temporaryFolder(), 'x'.repeat(100))
    await expect(listen(answering('x'), { path: long })).rejects.toMatchObject({ code: 'path-too-long' })
  })

  test('a folder that does not exist is an error that names the path', async () => {
    await expect(listen(net.createServer(), { path: '/no/such/folder/s' })).rejects.toMatchObject({ message: 'cannot listen on /no/such/folder/s: its folder does not exist' })
  })
})
