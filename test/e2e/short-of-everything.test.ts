import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { startLoad, type Load } from '../load/load.ts'
import { until } from '../support/deadline.ts'
import { firstRelease, stageRelease } from '../support/drop.ts'
import { GracerProcess } from '../support/gracer-process.ts'
import { runs, settled } from './kill-support.ts'
import { explain, releaseStatus } from './observe.ts'
import { server, writeRelease } from './write-release.ts'

// No room on the disk, no descriptors for a spawn, processes that do not want to end: a deploy fails with a reason or is
// finished all the same, and what serves goes on serving.

const config = { settle: '100ms', bake: '200ms', health: { path: '/healthz', interval: '50ms' }, drain: { stop: '700ms' } }
let gracer: GracerProcess
let load: Load | null = null
let disk: string | null = null

afterEach(async () => {
  const report = await load?.stop()
  load = null
  await gracer?.end()
  if (disk !== null) {
    execFileSync('umount', [disk])
    rmSync(disk, { recursive: true, force: true })
    disk = null
  }
  if (report !== undefined) expect(report).toMatchObject({ failed: 0 })
})

async function start(args: readonly string[] = []): Promise<void> {
  gracer = await GracerProcess.startWith({ config, args }, (one) => firstRelease(one, 'r0'))
  const running = startLoad({ port: gracer.port, connections: 16, rate: 100, kinds: ['keep-alive', 'fresh', 'post', 'pipeline'] })
  load = running
  await until('the load to run', () => running.counts().requests > 30)
}

/** A disk of 3 MB, where this user may mount one. */
function smallDisk(): string | null {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'gracer-disk-')))
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=3m,mode=0755', 'tmpfs', folder], { stdio: 'ignore' })
    return folder
  } catch {
    rmSync(folder, { recursive: true, force: true })
    return null
  }
}

test('R10: a full disk under the state folder refuses a deploy with the reason; what is live serves on, and with room again all goes on', async (context) => {
  disk = smallDisk()
  if (disk === null) return context.skip('a small disk can be mounted by root on Linux only')
  const state = join(disk, 'state')
  mkdirSync(state, { mode: 0o700 })
  // The commands find it by the pointer in the usual place, as for a path that is too long for a socket.
  gracer = await GracerProcess.create({ config, env: { GRACER_STATE: state } })
  const { folder } = gracer
  mkdirSync(join(folder, '.gracer'), { mode: 0o700 })
  execFileSync('ln', ['-s', join(state, 'control.sock'), join(folder, '.gracer', 'control.sock')])
  await firstRelease(gracer, 'r0')
  await gracer.up()
  await gracer.live('r0')
  const running = startLoad({ port: gracer.port, connections: 16, rate: 100, kinds: ['keep-alive', 'fresh', 'post', 'pipeline'] })
  load = running
  await until('the load to run', () => running.counts().requests > 30)
  const path = await stageRelease(gracer, 'r1')
  const filler = join(disk, 'filler')
  // Until not one byte more fits.
  try {
    for (;;) writeFileSync(filler, Buffer.alloc(64 * 1024), { flag: 'a' })
  } catch (error) {
    expect((error as NodeJS.ErrnoException).code).toBe('ENOSPC')
  }
  try {
    for (;;) writeFileSync(filler, 'x', { flag: 'a' })
  } catch {
    // Full to the last byte.
  }
  const full = await gracer.cli('swap', path)
  expect(full.code, full.stdout + full.stderr).toBe(1)
  expect(full.stderr).toMatch(/r0 is live now: .*(ENOSPC|no space left)/i)
  expect(full.stderr).toContain('Make room on the disk and try again')
  expect((await gracer.status()).services[0]).toMatchObject({ live: 'r0', confirmed: true })
  const { ok } = running.counts()
  await until('the load to go on', () => running.counts().ok > ok + 60)
  rmSync(filler)
  const again = await gracer.cli('swap', path)
  expect(again.code, again.stderr).toBe(0)
  expect(await gracer.status()).toMatchObject({ lost: 0, violations: 0 })
})

test.runIf(process.platform === 'linux')('R12: a master that has no descriptor left for a new process fails the deploy with what to look at', async () => {
  await start()
  const master = String(gracer.pid)
  const open = readdirSync(`/proc/${master}/fd`).length
  const limit = /^Max open files\s+(\d+)\s+(\d+)/m.exec(readFileSync(`/proc/${master}/limits`, 'utf8'))
  execFileSync('prlimit', ['--pid', master, `--nofile=${open}:${limit?.[2] ?? ''}`])
  const path = await stageRelease(gracer, 'r1')
  const refused = await gracer.cli('swap', path)
  expect(refused.code, refused.stdout + refused.stderr).toBe(1)
  expect(refused.stderr).toMatch(/^r0 is live now: v2 failed at its boot: .*(EMFILE|too many open files|the system refused a new process)/im)
  expect((await gracer.status()).services[0]).toMatchObject({ live: 'r0', confirmed: true })
  execFileSync('prlimit', ['--pid', master, `--nofile=${limit?.[1] ?? ''}:${limit?.[2] ?? ''}`])
  const again = await gracer.cli('swap', path)
  expect(again.code, again.stderr).toBe(0)
  expect(await gracer.status()).toMatchObject({ lost: 0, violations: 0 })
})

test('R15: a release that ends at once fails at its first end; a live one that crashes again and again is started with growing pauses', async () => {
  await start()
  const path = writeRelease(gracer, 'quits', { 'server.mjs': `import { appendFileSync } from 'node:fs'\nappendFileSync('boots.log', 'x')\n` })
  const { code, stderr } = await gracer.cli('swap', path)
  expect([code, stderr]).toEqual([1, expect.stringContaining('exited with code 0 before it was healthy')])
  expect(readFileSync(join(path, 'boots.log'), 'utf8')).toBe('x')
  await load?.stop()
  load = null
  // Well at first; once the file lies there it ends shortly after each start.
  const looping = writeRelease(gracer, 'loops', { 'server.mjs': `import { existsSync } from 'node:fs'\nif (existsSync('bad')) process.exit(5)\n${server("res.end('ok'); if (req.url === '/die') process.exit(5)")}` })
  expect((await gracer.swap(looping)).outcome).toMatchObject({ outcome: 'confirmed' })
  writeFileSync(join(looping, 'bad'), '')
  await fetch(`${gracer.url}/die`).catch(() => null)
  const label = (await gracer.status()).services[0]?.releases[0]?.id ?? ''
  const starts = (): number[] => gracer.gracerLog().filter((line) => line.event === 'backend.spawned' && line['release'] === label).map((line) => Date.parse(String(line['time'])))
  await until('its third restart', () => starts().length >= 4, 20_000)
  const times = starts()
  const pauses = times.slice(2).map((time, index) => time - (times[index + 1] ?? 0))
  // 0, 1 s, 2 s: each at least as long as it should be, however slow the machine is.
  expect(pauses[0]).toBeGreaterThan(900)
  expect(pauses[1]).toBeGreaterThan(1_900)
  expect((await releaseStatus(gracer, label))?.state).toBe('restarting')
  rmSync(join(looping, 'bad'))
  await settled(gracer, label, 1, 30_000)
})

test('R16: an old release that takes no notice of SIGTERM gets SIGKILL at its deadline, with its whole group, and leaves no zombie', async () => {
  await start()
  const stubborn = await stageRelease(gracer, 'stubborn', { behaviour: { ignoreSigterm: true } })
  expect((await gracer.swap(stubborn)).outcome).toMatchObject({ outcome: 'confirmed' })
  const old = (await gracer.status()).services[0]?.releases[0]
  const next = await gracer.cli('swap', await stageRelease(gracer, 'next'))
  expect([next.code, next.stderr]).toEqual([0, expect.anything()])
  await until('it to be gone', () => !runs(old?.pid ?? 0))
  expect((await explain(gracer, old?.id ?? '')).story.map(({ what }) => what)).toContainEqual(expect.stringContaining('did not end within 700 ms of SIGTERM, so its process group got SIGKILL'))
  await until('no zombie to be left', () => !zombiesOf(gracer.pid))
  expect(await gracer.status()).toMatchObject({ lost: 0, violations: 0 })
})

test.runIf(process.platform === 'linux').each([false, true])('R17: a daemon that a release has forked away (deaf to SIGTERM: %s) ends with it', async (deaf) => {
  await start()
  const daemon = `${deaf ? "process.on('SIGTERM', () => {});" : ''} setInterval(() => {}, 1000)`
  const path = writeRelease(gracer, 'daemons', { 'server.mjs': `import { spawn } from 'node:child_process'\nimport { writeFileSync } from 'node:fs'\n`
    + `const child = spawn(process.execPath, ['-e', ${JSON.stringify(daemon)}], { detached: true, stdio: 'ignore' })\nchild.unref()\nwriteFileSync('daemon.pid', String(child.pid))\n${server("res.end('ok')")}` })
  await load?.stop()
  load = null
  expect((await gracer.swap(path)).outcome).toMatchObject({ outcome: 'confirmed' })
  const pid = Number(readFileSync(join(path, 'daemon.pid'), 'utf8'))
  expect(runs(pid)).toBe(true)
  const next = await gracer.swap(await stageRelease(gracer, 'next'))
  expect(next.outcome).toMatchObject({ outcome: 'confirmed', receipt: { survivors: [] } })
  await until('the daemon to be gone', () => !runs(pid))
})

function zombiesOf(parent: number): boolean {
  return readdirSync('/proc').some((pid) => {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
      const [state, ppid] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      return state === 'Z' && Number(ppid) === parent
    } catch {
      return false
    }
  })
}
