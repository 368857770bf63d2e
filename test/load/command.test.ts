import { afterEach, expect, test } from 'vitest'
import { seededBytes } from './bytes.ts'
import { readCommandLine } from './command-options.ts'
import { runCommand } from './command.ts'
import { fakeServer, reply, type FakeServer } from './fake-server.ts'

let server: FakeServer | null = null

afterEach(async () => {
  await server?.close()
  server = null
})

interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

async function run(args: readonly string[], more: { terminal?: boolean; interrupt?: boolean } = {}): Promise<Ran> {
  let out = ''
  let err = ''
  const code = await runCommand(args, {
    out: (text) => void (out += text),
    err: (text) => void (err += text),
    terminal: more.terminal ?? false,
    onInterrupt: (act) => {
      if (more.interrupt) act()
    },
  })
  return { code, out, err }
}

/** The contract's /bytes; the wrong byte of the request with that number, and releases by number. */
async function serve(options: { wrongAt?: number; releases?: readonly string[] } = {}): Promise<string> {
  server = await fakeServer((request, socket) => {
    const body = Buffer.from(seededBytes(request.query('seed'), request.query('n')))
    if (request.index === options.wrongAt) body[0]! ^= 1
    socket.write(reply(body, options.releases?.[request.index] ?? 'r1'))
  })
  return `http://127.0.0.1:${server.port}`
}

const few = ['--kinds', 'keep-alive', '--connections', '1', '--rate', '100', '--count', '5']

test('--help tells the options on stdout and exits 0', async () => {
  const { code, out, err } = await run(['--help'])
  expect({ code, err }).toEqual({ code: 0, err: '' })
  for (const option of ['--plain', '--connections', '--rate', '--duration', '--count', '--kinds', '--json', '--atomic']) expect(out).toContain(option)
})

test('a clean run exits 0, with the verdict in the first line and nothing on stderr', async () => {
  const { code, out, err } = await run([await serve(), ...few])
  expect({ code, err }).toEqual({ code: 0, err: '' })
  expect(out).toMatch(/^5 requests in [\d.]+ s: 5 ok, 0 failed\n/)
  expect(out).toContain('release r1: 5 replies')
})

test('one failure is exit 1; it is told at once on stderr and again in the report', async () => {
  const { code, out, err } = await run([await serve({ wrongAt: 3 }), ...few])
  expect(code).toBe(1)
  expect(err).toMatch(/^failed: wrong-byte: .*keep-alive on connection \d+ .*byte 0 is/)
  expect(out).toMatch(/failed: wrong-byte × 1\n {2}.*byte 0 is/)
})

test('--json is one JSON document on stdout and nothing else', async () => {
  const { code, out } = await run([await serve({ wrongAt: 3 }), ...few, '--json'])
  expect(code).toBe(1)
  expect(JSON.parse(out)).toMatchObject({ schema: 1, requests: 5, ok: 4, failed: 1, failures: [{ code: 'wrong-byte', count: 1 }], stale: { count: 0 } })
})

test('a stale reply is reported, and fails the run with --atomic alone', async () => {
  // The first request is the one that asks whether the app knows the contract.
  const releases = ['a', 'a', 'b', 'a', 'b', 'b']
  const told = await run([await serve({ releases }), ...few])
  expect(told).toMatchObject({ code: 0 })
  expect(told.out).toMatch(/replies of an earlier release after one of a later: 1\n {2}keep-alive answered by a [\d.]+ ms after the first full reply of b/)
  await server?.close()
  const strict = await run([await serve({ releases }), ...few, '--atomic', '--json'])
  expect(strict.code).toBe(1)
  expect(JSON.parse(strict.out)).toMatchObject({ stale: { count: 1, examples: [{ release: 'a', newer: 'b' }] } })
})

test('an app that is none of the load apps is told of --plain, and --plain loads it', async () => {
  server = await fakeServer((_request, socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi'))
  const url = `http://127.0.0.1:${server.port}`
  await expect(run([url, ...few])).rejects.toMatchObject({ exitCode: 2, hint: expect.stringContaining('--plain /') as string })
  const { code, out } = await run([url, '--plain', '/', '--connections', '2', '--rate', '100', '--count', '5'])
  expect(code).toBe(0)
  expect(out).toMatch(/plain +5 +5 +0/)
})

test('a server that is not there is exit 2 and no report', async () => {
  const url = await serve()
  await server?.close()
  await expect(run([url])).rejects.toMatchObject({ code: 'load-target', exitCode: 2 })
})

test('the first Ctrl-C ends the load in order and reports', async () => {
  const { code, out, err } = await run([await serve(), '--kinds', 'keep-alive', '--duration', '60s', '--connections', '1'], { interrupt: true })
  expect(err).toContain('waiting for what is in flight')
  expect(out).toMatch(/^\d+ requests/)
  // It was interrupted before the first reply: nothing was shown, so nothing passed.
  expect(code).toBe(1)
})

test('progress is drawn on a terminal, and taken away at the end', async () => {
  const { err } = await run([await serve(), ...few], { terminal: true })
  expect(err).toMatch(/0 failed, \d+ in flight/)
  expect(err.endsWith('\r\x1b[K')).toBe(true)
})

test.each([
  [['--rate', 'x']], [['--rate', '0']], [['--connections', '-1']], [['--duration', '10']], [['--kinds', 'plain']], [['--kinds', 'x']],
  [['--plain', 'page']], [['--nonsense']], [['a', 'b']],
])('%j is refused with exit code 2', (args) => {
  expect(() => readCommandLine(args)).toThrow(expect.objectContaining({ exitCode: 2 }) as Error)
})

test('durations are read with their units', () => {
  const read = (text: string): number | undefined => readCommandLine(['--duration', text]).load.durationMs
  expect([read('500ms'), read('10s'), read('1.5m')]).toEqual([500, 10_000, 90_000])
})
