import { spawn } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import http from 'node:http'
import { join } from 'node:path'
import { freePort } from '../../inherit/ephemeral-socket.ts'
import { moveIn } from '../support/drop.ts'
import { GracerProcess } from '../support/gracer-process.ts'
import { spread, type Spread } from './spread.ts'

export interface DropFigures {
  readonly runs: number
  /** Milliseconds from the rename of the drop to the first reply by it, through gracer. */
  readonly dropToReplyMs: Spread
  /** Milliseconds from the start of the same app by hand to its first reply, measured in turn with the above. */
  readonly ownBootMs: Spread
  /** Run by run, the one less the other: what gracer adds. */
  readonly addedMs: Spread
}

const app = `import http from 'node:http'
import { readFileSync } from 'node:fs'
const name = readFileSync(new URL('release.txt', import.meta.url), 'utf8')
http.createServer((req, res) => { res.setHeader('x-release', name); res.end('ok') }).listen(process.env.PORT ?? 3000)
`

/** Measures what lies between a drop and the first reply by it, less what the app itself needs to boot. */
export async function dropToReply(runs: number, say: (line: string) => void): Promise<DropFigures> {
  const gracer = await GracerProcess.startWith({ config: { bake: '100ms' } }, async (one) => {
    await makeApp(join(one.releases, 'r0'), 'r0')
    await writeFile(join(one.releases, 'r0.ready'), '')
  })
  const drop: number[] = []
  const boot: number[] = []
  try {
    for (let run = 1; run <= runs; run += 1) {
      const name = `r${run}`
      const staged = join(gracer.folder, 'staging', name)
      await makeApp(staged, name)
      boot.push(await ownBoot(staged, name))
      const droppedAt = await moveIn(gracer, staged, name)
      drop.push(await firstReply(gracer.port, name, droppedAt))
      await gracer.live(name)
      say(`run ${run} of ${runs}: drop to reply ${drop.at(-1)?.toFixed(1)} ms, own boot ${boot.at(-1)?.toFixed(1)} ms`)
    }
  } finally {
    await gracer.end()
  }
  return { runs, dropToReplyMs: spread(drop), ownBootMs: spread(boot), addedMs: spread(drop.map((ms, index) => ms - (boot[index] ?? 0))) }
}

async function makeApp(path: string, name: string): Promise<void> {
  await mkdir(path, { recursive: true })
  await writeFile(join(path, 'server.mjs'), app)
  await writeFile(join(path, 'release.txt'), name)
}

async function ownBoot(path: string, name: string): Promise<number> {
  const port = await freePort()
  const begun = process.hrtime.bigint()
  const child = spawn(process.execPath, ['server.mjs'], { cwd: path, stdio: 'ignore', env: { ...process.env, PORT: String(port) } })
  child.on('error', () => {})
  try {
    return await firstReply(port, name, begun)
  } finally {
    child.kill('SIGKILL')
  }
}

/** Asks without pause, one request after the other, until the release of this name answers; gives up after 20 s. */
async function firstReply(port: number, name: string, since: bigint): Promise<number> {
  for (;;) {
    const release = await ask(port)
    const ms = Number(process.hrtime.bigint() - since) / 1e6
    if (release === name) return ms
    if (ms > 20_000) throw new Error(`${name} has not answered within 20 s`)
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}

function ask(port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const request = http.get({ host: '127.0.0.1', port, agent: false }, (response) => {
      response.resume()
      response.once('close', () => resolve(String(response.headers['x-release'] ?? '')))
    })
    request.on('error', () => resolve(null))
  })
}
