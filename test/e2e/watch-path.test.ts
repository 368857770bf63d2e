import { spawn } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { appsFolder } from '../load/make-release.ts'
import { startLoad, type Load } from '../load/load.ts'
import { until } from '../support/deadline.ts'
import { stageRelease } from '../support/drop.ts'
import { GracerProcess } from '../support/gracer-process.ts'

const config = { bake: '200ms', settle: '300ms', drain: { upgraded: '500ms', spread: '200ms' } }

/** What a script has to say to be the strict load's app of that release. */
async function program(gracer: GracerProcess, name: string): Promise<string> {
  const folder = (await stageRelease(gracer, name)).replace(/\/$/, '')
  return `process.chdir(${JSON.stringify(folder)})\nawait import(${JSON.stringify(join(appsFolder, 'load-app.mjs'))})\n`
}

async function confirmed(gracer: GracerProcess, release: string): Promise<void> {
  await until(`${release} to be confirmed`, async () => {
    const [service] = (await gracer.status()).services
    return service?.live === release && service.confirmed
  })
}

describe.each(['file', 'folder'] as const)('a watched %s', (kind) => {
  let gracer: GracerProcess
  let load: Load
  let script: string
  const place = (text: string): void => {
    const aside = join(gracer.folder, 'staging', 'aside.mjs')
    writeFileSync(aside, text)
    renameSync(aside, script)
  }
  beforeAll(async () => {
    const watched = kind === 'file' ? 'server.mjs' : 'app'
    gracer = await GracerProcess.create({ workers: 2, config: { ...config, releases: null, watch: watched, command: ['node', 'server.mjs'] } })
    if (kind === 'folder') mkdirSync(join(gracer.folder, 'app'))
    script = join(gracer.folder, kind === 'file' ? watched : 'app/server.mjs')
    place(await program(gracer, 'w1'))
    await gracer.up()
    await confirmed(gracer, 'v1')
    load = startLoad({ host: '127.0.0.1', port: gracer.port, connections: 40, rate: 100, durationMs: 300_000 })
    await until('the load to run', () => load.counts().requests > 100)
  }, 60_000)
  afterAll(async () => {
    await gracer.end()
  })

  it('is replaced three times, and nothing is lost', async () => {
    place(await program(gracer, 'w2'))
    await confirmed(gracer, 'v2')
    const third = await program(gracer, 'w3')
    if (kind === 'file') {
      rmSync(script)
      writeFileSync(script, third)
    } else {
      cpSync(join(gracer.folder, 'app'), join(gracer.folder, 'staging', 'next'), { recursive: true })
      writeFileSync(join(gracer.folder, 'staging', 'next', 'server.mjs'), third)
      renameSync(join(gracer.folder, 'app'), join(gracer.folder, 'staging', 'old'))
      renameSync(join(gracer.folder, 'staging', 'next'), join(gracer.folder, 'app'))
    }
    await confirmed(gracer, 'v3')
    // A writer that pauses half-way for longer than it takes to settle.
    const writer = spawn('sh', ['-c', 'exec > "$1"; printf "this is no program("; read line; cat "$2" > "$1"', 'sh', script, join(gracer.folder, 'staging', 'whole.mjs')], { stdio: ['pipe', 'ignore', 'ignore'] })
    writeFileSync(join(gracer.folder, 'staging', 'whole.mjs'), await program(gracer, 'w4'))
    await until('gracer to see that it is being written', () => readFileSync(join(gracer.folder, '.gracer', 'log', 'gracer.log'), 'utf8').includes('still-open'))
    writer.stdin.end('\n')
    await confirmed(gracer, 'v4')
    const report = await load.stop()
    expect(report.failures).toEqual([])
    expect({ failed: report.failed, refused: report.refused, stale: report.staleAfterFlip() }).toEqual({ failed: 0, refused: 0, stale: [] })
    expect(report.releasesSeen.length).toBe(4)
    expect((await gracer.status()).violations).toBe(0)
  }, 120_000)

  it('a bad one fails once; a crash restart and a rollback run the old bytes', async () => {
    place('process.exit(7)\n')
    await until('v5 to have failed', async () => (await gracer.cli('explain', 'v5', '--json')).stdout.includes('"failed"'))
    const live = async (): Promise<{ pid: number | null; live: string | null }> => {
      const [service] = (await gracer.status()).services
      return { live: service?.live ?? null, pid: service?.releases.find(({ id }) => id === 'v4')?.pid ?? null }
    }
    const before = await live()
    expect(before.live).toBe('v4')
    process.kill(before.pid ?? 0, 'SIGKILL')
    await until('v4 to run again', async () => {
      const now = await live()
      return now.live === 'v4' && now.pid !== null && now.pid !== before.pid && (await fetch(gracer.url)).ok
    })
    const back = await gracer.cli('rollback')
    expect(back.code, back.stderr).toBe(0)
    const { services } = await gracer.status()
    expect(services[0]?.releases.some(({ id }) => id === 'v7')).toBe(false)
    // Named in a command it is tried again, and fails again.
    const again = await gracer.cli('swap')
    expect(again.code, again.stderr).toBe(1)
    if (kind === 'file') return
    // Moved back as it is: none of its files is newer than when it was live.
    const count = (await gracer.status()).services[0]?.releases.length ?? 0
    renameSync(join(gracer.folder, 'app'), join(gracer.folder, 'staging', 'bad'))
    renameSync(join(gracer.folder, 'staging', 'old'), join(gracer.folder, 'app'))
    await until('what was moved back to be live', async () => {
      const [service] = (await gracer.status()).services
      return service?.confirmed === true && (service.releases.length > count || !['v4', 'v6'].includes(service.live ?? ''))
    })
  }, 120_000)
})
