import { chmodSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import { execFile } from 'node:child_process'
import { afterEach, expect, test } from 'vitest'

import { upgradeHandler } from '../../../inherit/upgrade/upgrade-handler.ts'
import { until } from '../../support/deadline.ts'
import { ask } from '../../support/standalone.ts'
import { cleanUp } from '../support.ts'
import { connect, settled, start } from './support.ts'

afterEach(cleanUp)

test('the control socket answers what it knows, and refuses the rest in words', async () => {
  const program = await start()
  expect(await program.describe()).toEqual({
    pid: program.child.pid, generation: 1, state: 'serving', leaving: null,
    listeners: [{ name: 'http', addr: `127.0.0.1:${program.port}`, fd: expect.any(Number) as number, filename: null }],
  })
  expect(await program.control('GET', '/upgrade')).toMatchObject({ status: 405 })
  expect(await program.control('POST', '/')).toMatchObject({ status: 404 })
  const garbage = await connect({ path: join(program.folder, 'run', 'control.sock') })
  garbage.socket.write('no HTTP at all\r\n\r\n')
  await garbage.closed
  expect(await program.answers()).toBe(true)
})

test('its path never vanishes while generations change', async () => {
  const program = await start()
  const path = join(program.folder, 'run', 'control.sock')
  let [looks, missing, running] = [0, 0, true]
  const failures: unknown[] = []
  const watch = (async () => {
    while (running) {
      looks += 1
      if (!existsSync(path)) missing += 1
      // Each asks on a connection of its own, whoever of the two accepts it.
      await program.describe().catch((error: unknown) => failures.push(error))
    }
  })()
  for (let count = 0; count < 2; count += 1) {
    expect(await program.upgrade()).toMatchObject({ ok: true })
    await settled(program)
  }
  running = false
  await watch
  expect(looks).toBeGreaterThan(50)
  expect({ missing, failures }).toEqual({ missing: 0, failures: [] })
}, 40_000)

test.skipIf(process.getuid?.() !== 0)('another user of the machine cannot ask', async () => {
  const program = await start()
  chmodSync(program.folder, 0o755)
  const socket = join(program.folder, 'run', 'control.sock')
  const text = await new Promise<string>((resolve) => {
    execFile('node', ['-e', `require('net').connect(${JSON.stringify(socket)}).on('connect', () => console.log('in')).on('error', (e) => console.log(e.code))`], { uid: 65_534, gid: 65_534, cwd: '/' }, (_error, stdout) => resolve(stdout.trim()))
  })
  expect(text).toBe('EACCES')
})

test('the HTTP route is a 404 to anyone without the token, and takes POST alone', async () => {
  const program = await start()
  const route = (method: string, headers: Record<string, string> = {}): ReturnType<typeof ask> => ask({ host: '127.0.0.1', port: program.port, path: '/graceful', method, headers })
  const token = { authorization: 'Bearer a-token-for-the-tests' }
  for (const headers of [{}, { authorization: '' }, { authorization: 'Bearer ' }, { authorization: 'Basic a-token-for-the-tests' }, { authorization: 'Bearer a-token-for-the-test' }, { authorization: 'Bearer a-token-for-the-testsx' }]) {
    expect((await route('POST', headers as Record<string, string>)).status, JSON.stringify(headers)).toBe(404)
  }
  expect((await route('GET')).status).toBe(404)
  const refused = await route('GET', token)
  expect([refused.status, refused.headers.allow]).toEqual([405, 'POST'])
  expect((await program.self()).generation).toBe(1)
  program.write('upgrade.txt', 'crash')
  const failed = await route('POST', token)
  expect([failed.status, JSON.parse(failed.body)]).toEqual([500, { code: 'exited', reason: expect.stringContaining('exit code 1') as string, lines: expect.arrayContaining(['Error: the database is not there']) as string[], hint: null }])
  program.write('upgrade.txt', 'slow')
  const first = route('POST', token)
  await until('the upgrade to be under way', async () => (await program.describe()).state === 'upgrading')
  expect((await route('POST', token)).status).toBe(409)
  const done = await first
  expect([done.status, JSON.parse(done.body)]).toEqual([200, { pid: expect.any(Number) as number, generation: 2 }])
}, 40_000)

test('a route without a token worth the name is not made', () => {
  for (const token of [undefined, '', 'short']) expect(() => upgradeHandler({ token: token as string })).toThrow(/at least 16 characters/)
})
