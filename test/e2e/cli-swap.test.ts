import { writeFileSync } from 'node:fs'
import http from 'node:http'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Outcome, Progress } from '../../agent/control/shapes.ts'
import { startLoad, type Load } from '../load/load.ts'
import { until } from '../support/deadline.ts'
import { firstRelease, moveIn, stageRelease } from '../support/drop.ts'
import { GracerProcess } from '../support/gracer-process.ts'
import { Events, explain, linesOf, receipts, releaseStatus, startCli } from './observe.ts'
import { server, writeRelease } from './write-release.ts'

// The commands while something else is under way: one gracer and a light load that must not notice any of it.

const config = { settle: '100ms', bake: '200ms', health: { path: '/healthz', interval: '50ms', deadline: '25s' }, drain: { stop: '2s' } }
let gracer: GracerProcess
let load: Load
let events: Events

beforeAll(async () => {
  gracer = await GracerProcess.startWith({ config }, (one) => firstRelease(one, 'r0'))
  load = startLoad({ port: gracer.port, connections: 10, rate: 100, kinds: ['keep-alive', 'fresh', 'post'] })
})

beforeEach(async () => {
  events = await Events.open(gracer)
})

afterEach(async () => {
  events.close()
  gracer.writeConfig(config)
  expect(await gracer.status()).toMatchObject({ lost: 0, violations: 0 })
  expect(load.counts().failed).toBe(0)
})

afterAll(async () => {
  const report = await load?.stop()
  await gracer?.end()
  expect(report?.failures).toEqual([])
})

interface Gated {
  readonly path: string
  /** Lets it become healthy. `at`: where the build lies by now. */
  open(at?: string): void
  boots(at?: string): number
}

/** A build that is not healthy before it is let. */
function gated(name: string): Gated {
  const answers = `if (req.url === '/healthz') res.statusCode = existsSync(join(import.meta.dirname, 'go')) ? 200 : 503
    if (req.method === 'POST') return req.pipe(res)
    const url = new URL(req.url, 'http://localhost')
    res.end(url.pathname === '/bytes' ? seededBytes(Number(url.searchParams.get('seed')), Number(url.searchParams.get('n'))) : 'ok')`
  const contract = new URL('../apps/load-contract.mjs', import.meta.url).href
  const head = `import { existsSync } from 'node:fs'\nimport { seededBytes } from '${contract}'\n`
  const path = writeRelease(gracer, name, { 'server.mjs': head + server(answers).replace('process.env.GRACER_RELEASE', `'${name}'`) })
  return {
    path,
    open: (at = path) => writeFileSync(join(at, 'go'), ''),
    boots: (at = path) => linesOf(join(at, 'boots.log')).length,
  }
}

async function live(): Promise<string | null> {
  return (await gracer.status()).services[0]?.live ?? null
}

test('--until drained returns when the old release has nothing in flight, and before the release is confirmed', async () => {
  gracer.writeConfig({ ...config, bake: '4s' })
  const upload = new Upload()
  await until('the upload to be under way', async () => ((await releaseStatus(gracer, 'r0'))?.inFlight ?? 0) > 0)
  const swap = startCli(gracer, 'swap', await stageRelease(gracer, 'drained'), '--until', 'drained', '--json')
  // While it drains, those who watch are told how much is left.
  const isDraining = (event: Progress | Outcome): event is Progress => event.kind === 'phase' && event.phase === 'draining' && event.draining !== null
  const { release, draining } = await until('the draining count', () => events.seen.find(isDraining))
  expect(draining).toBeGreaterThanOrEqual(1)
  expect(swap.child.exitCode).toBeNull()
  upload.end()
  expect(await upload.reply).toEqual({ release: 'r0', text: 'first half, second half' })
  const { code, stdout, stderr } = await swap.ended
  expect(code, stderr).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({ phase: 'drained', release })
  expect((await gracer.status()).services[0]).toMatchObject({ live: release, confirmed: false })
  await events.outcome(release)
})

/** An upload that is under way until it is ended. */
class Upload {
  readonly reply: Promise<{ release: unknown; text: string }>
  readonly #request: http.ClientRequest

  constructor() {
    this.#request = http.request({ port: gracer.port, host: '127.0.0.1', method: 'POST', path: '/echo', agent: false, headers: { 'transfer-encoding': 'chunked' } })
    this.reply = new Promise((resolve, reject) => {
      this.#request.on('error', reject)
      this.#request.on('response', (response) => {
        let text = ''
        response.on('error', reject)
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk)).on('end', () => resolve({ release: response.headers['x-release'], text }))
      })
    })
    this.#request.write('first half, ')
  }

  end(): void {
    this.#request.end('second half')
  }
}

test('--timeout undoes a swap that has not flipped by then: 124, the old one serves', async () => {
  const before = await live()
  const build = gated('too-slow')
  const swap = await gracer.cli('swap', build.path, '--timeout', '700ms')
  expect(swap.code).toBe(124)
  expect(swap.stdout).toBe('')
  expect(swap.stderr).toMatch(new RegExp(`^${before} is live now: v\\d+ is undone: it had not flipped within 700ms$`, 'm'))
  expect(swap.stderr).toMatch(new RegExp(`next {2}Give it longer: gracer swap ${build.path} --timeout 2m\\.`))
  expect(await live()).toBe(before)
  const id = /now: (v\d+) is undone/.exec(swap.stderr)?.[1] ?? ''
  await until('its process to be gone', async () => (await releaseStatus(gracer, id))?.pid === null)
  expect(await explain(gracer, id)).toMatchObject({ state: 'failed', receipt: { outcome: 'timed-out', lost: 0, phasesMs: { flip: null } } })
})

test('a build that fails before its flip is a failure whatever --until says: 1', async () => {
  gracer.writeConfig({ ...config, health: { ...config.health, deadline: '400ms' } })
  // It runs when it fails, so that its end is a phase of its own, which is not to be taken for a flip.
  const path = writeRelease(gracer, 'never-flips', { 'server.mjs': server(`res.writeHead(500); res.end()`) })
  for (const phase of ['flip', 'drained']) {
    const swap = await gracer.cli('swap', path, '--until', phase)
    expect(swap.code, swap.stderr).toBe(1)
    expect(swap.stderr).toContain('failed at its health check')
  }
})

test('Ctrl-C before the flip undoes the swap and says so: 130', async () => {
  const before = await live()
  const swap = startCli(gracer, 'swap', gated('interrupted').path)
  await swap.says('checking')
  swap.child.kill('SIGINT')
  const { code, stdout, stderr } = await swap.ended
  expect(code, stderr).toBe(130)
  expect(stdout).toBe('')
  expect(stderr).toMatch(/^interrupted: undoing v\d+ before its flip/m)
  expect(stderr).toMatch(new RegExp(`^${before} is live now: v\\d+ is undone: undone by command$`, 'm'))
  expect(stderr).toMatch(/^interrupted: the swap is undone$/m)
  expect(await live()).toBe(before)
})

test('Ctrl-C after the flip leaves the swap to go on and says so: 130', async () => {
  gracer.writeConfig({ ...config, bake: '2s' })
  const swap = startCli(gracer, 'swap', await stageRelease(gracer, 'detached'))
  await swap.says('flipped')
  swap.child.kill('SIGINT')
  const { code, stdout, stderr } = await swap.ended
  expect(code, stderr).toBe(130)
  expect(stdout).toBe('')
  const id = /^detached: (v\d+) has flipped and goes on without this command/m.exec(stderr)?.[1] ?? ''
  expect(await events.outcome(id)).toMatchObject({ outcome: 'confirmed', live: id })
})

test('a second swap is busy: 4, with what can be done; --supersede ends the first, whose command says so: 4', async () => {
  const first = startCli(gracer, 'swap', gated('first').path)
  await first.says('checking')
  const path = await stageRelease(gracer, 'second')
  const second = await gracer.cli('swap', path)
  expect(second.code).toBe(4)
  expect(second.stderr).toMatch(/is live now: v\d+ is being deployed; one swap at a time/)
  expect(second.stderr).toMatch(/next {2}Wait for it \(gracer status\), replace it \(gracer swap --supersede\), or undo it \(gracer rollback\)\./)
  const third = await gracer.swap(path, '--supersede')
  expect(third.code, third.stderr).toBe(0)
  expect(third.outcome).toMatchObject({ outcome: 'confirmed', live: third.outcome.release })
  const { code, stderr } = await first.ended
  expect(code).toBe(4)
  expect(stderr).toMatch(/is live now: v\d+ was superseded by a newer swap$/m)
})

test('rollback during a boot undoes it: the command of the swap says so, and the old one serves', async () => {
  const before = await live()
  const swap = startCli(gracer, 'swap', gated('taken-back').path)
  await swap.says('checking')
  const back = await gracer.cli('rollback')
  expect(back.code, back.stderr).toBe(0)
  expect(back.stdout).toContain(`${before} is live now: `)
  const { code, stderr } = await swap.ended
  expect(code).toBe(130)
  expect(stderr).toMatch(/v\d+ is undone: undone by a rollback/)
  expect(await live()).toBe(before)
})

test('drops during a boot wait in one visible slot: the newest wins, the others are never booted, and explain says why', async () => {
  const first = gated('g1')
  await moveIn(gracer, first.path, 'g1')
  await events.phase('checking', 'g1')
  const builds = ['w1', 'w2', 'w3'].map((name) => ({ name, build: gated(name) }))
  for (const { name, build } of builds) {
    build.open()
    await moveIn(gracer, build.path, name)
    await until(`${name} to wait`, async () => (await gracer.status()).services[0]?.waiting === name)
  }
  expect((await gracer.cli('status')).stdout).toMatch(/; waiting: w3$/m)
  first.open(join(gracer.releases, 'g1'))
  // The slot is taken up at the flip: what is dropped during a bake supersedes the release that bakes.
  await events.phase('flipped', 'g1')
  expect(await events.outcome('w3')).toMatchObject({ outcome: 'confirmed', live: 'w3' })
  expect((await gracer.status()).services[0]?.waiting).toBeNull()
  for (const name of ['w1', 'w2']) {
    expect(linesOf(join(gracer.releases, name, 'boots.log'))).toEqual([])
    const why = await gracer.cli('explain', name)
    expect(why.code).toBe(2)
    expect(why.stderr).toBe(`gracer: ${name} was dropped and never booted: a newer drop took its place in the waiting slot\n  To deploy it all the same: gracer swap ${name}\n`)
  }
  // Named, it is always tried.
  expect((await gracer.cli('swap', 'w1')).code).toBe(0)
  expect(await live()).toBe('w1')
})

test('--dry-run says what would be done and does nothing', async () => {
  const before = await gracer.status()
  const build = gated('only-thought-of')
  const dry = await gracer.cli('swap', build.path, '--dry-run')
  expect(dry.code, dry.stderr).toBe(0)
  expect(dry.stdout).toMatch(new RegExp(`^${before.services[0]?.live} is live now: ${build.path} would be booted as v\\d+ with "node .*server\\.mjs", its socket passed down, and take the place of ${before.services[0]?.live}\n$`))
  expect(events.seen).toEqual([])
  expect(build.boots()).toBe(0)
  const nothing = await gracer.cli('swap', writeRelease(gracer, 'empty', { 'notes.txt': '' }), '--dry-run')
  expect(nothing).toMatchObject({ code: 2, stderr: expect.stringContaining('does not say how it is started') as string })
})

test('--no-wait returns once the swap is accepted, and names the release to ask for', async () => {
  const build = gated('later')
  const swap = await gracer.cli('swap', build.path, '--no-wait')
  expect(swap.code, swap.stderr).toBe(0)
  const id = /\b(v\d+)\b/.exec(swap.stderr)?.[1] ?? ''
  expect((await releaseStatus(gracer, id))?.state).toBe('booting')
  build.open()
  expect(await events.outcome(id)).toMatchObject({ outcome: 'confirmed' })
})

test('a name that looks like a number wins over the number, and the command says so', async () => {
  const build = gated('v1')
  build.open()
  await moveIn(gracer, build.path, 'v1')
  expect(await events.outcome('v1')).toMatchObject({ outcome: 'confirmed', live: 'v1' })
  const swap = await gracer.cli('swap', 'v1')
  expect(swap.code, swap.stderr).toBe(0)
  expect(swap.stderr).toMatch(/^queued .*v1 is both a name and a number; the drop of that name is taken$/m)
  expect((await gracer.status()).services[0]?.live).toBe('v1')
  // r0, which is number 1, is left alone.
  expect((await receipts(gracer))[0]).toMatchObject({ name: 'v1', outcome: 'confirmed' })
})

test('a release that writes into its own folder can be swapped to again, and gone back to; one that was edited cannot be gone back to', async () => {
  const build = gated('diary')
  build.open()
  const dropped = join(gracer.releases, 'diary')
  await moveIn(gracer, build.path, 'diary')
  await events.outcome('diary')
  // While one process of it serves and writes its diary, another boots in the same folder.
  const again = await gracer.swap('diary')
  expect(again.code, again.stderr).toBe(0)
  expect(build.boots(dropped)).toBe(2)
  const other = await gracer.swap(await stageRelease(gracer, 'in-between'))
  expect(other.code, other.stderr).toBe(0)
  const back = await gracer.cli('rollback', 'diary')
  expect(back.code, back.stderr).toBe(0)
  expect(build.boots(dropped)).toBe(3)

  expect((await gracer.cli('swap', other.outcome.release ?? '')).code).toBe(0)
  writeFileSync(join(dropped, 'server.mjs'), 'edited meanwhile')
  const refused = await gracer.cli('rollback', 'diary')
  expect(refused.code).toBe(1)
  expect(refused.stderr).toMatch(/the folder of diary is not what it was when it was live: 1 changed \("server\.mjs"\)\. To deploy it as it is now, name it: gracer swap diary/)
})

test('a config that is broken between two swaps: the swap exits with 2 and touches nothing, a drop fails and says why', async () => {
  const before = await gracer.status()
  const path = await stageRelease(gracer, 'with-bad-config')
  gracer.writeConfig({ ...config, helth: { path: '/' }, bake: '20' })
  const swap = await gracer.cli('swap', path)
  expect(swap.code).toBe(2)
  expect(swap.stdout).toBe('')
  expect(swap.stderr).toContain(join(gracer.folder, 'gracer.json'))
  expect(swap.stderr).toContain('helth: unknown key; did you mean "health"?')
  expect(swap.stderr).toMatch(/bake: expected a duration .*, got "20"/)
  const after = await gracer.status()
  expect(after.services[0]?.releases.map((release) => [release.id, release.pid])).toEqual(before.services[0]?.releases.map((release) => [release.id, release.pid]))
  expect((await gracer.cli('restart')).code).toBe(2)

  // An agent that has to start meanwhile uses the last config that was valid: it must look after what runs.
  process.kill(before.agent.pid, 'SIGKILL')
  const agent = await until('the next agent', async () => {
    const now = await gracer.status().catch(() => null)
    return now !== null && now.agent.pid !== before.agent.pid ? now : null
  })
  expect(agent.services[0]).toMatchObject({ live: before.services[0]?.live, confirmed: true })
  expect(gracer.gracerLog().filter((line) => line.event === 'config.invalid')).toHaveLength(1)
  expect((await gracer.cli('swap', path)).code).toBe(2)
  events.close()
  events = await Events.open(gracer)

  await moveIn(gracer, gated('dropped-with-bad-config').path, 'dropped-with-bad-config')
  const outcome: Outcome = await events.outcome('dropped-with-bad-config')
  expect(outcome).toMatchObject({ outcome: 'failed', failure: { stage: 'take-in' } })
  expect(outcome.message).toContain('helth: unknown key')
  expect(await live()).toBe(before.services[0]?.live)
})

test('without a name the newest drop is taken, and a name or path that does not exist is refused with what there is to do', async () => {
  const build = gated('newest')
  build.open()
  await moveIn(gracer, build.path, 'newest')
  await events.outcome('newest')
  const again = await gracer.swap()
  expect(again.code, again.stderr).toBe(0)
  expect(again.outcome).toMatchObject({ outcome: 'confirmed', name: 'newest', live: 'newest' })
  expect(await gracer.cli('swap', 'nothing-of-that-name')).toMatchObject({
    code: 2, stderr: 'gracer: there is no release nothing-of-that-name\n  gracer status lists what there is; a path must be absolute or begin with ./\n',
  })
  expect(await gracer.cli('swap', './nowhere')).toMatchObject({ code: 2, stderr: `gracer: there is no build at ${join(gracer.folder, 'nowhere')}\n  Name a folder, an archive or a program that exists.\n` })
})
