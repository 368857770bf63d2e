import { existsSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { GracerError } from '../../inherit/gracer-error.ts'
import type { LogPlace } from '../control/handlers.ts'
import { contextOf, queryPath } from './context.ts'
import type { Context } from './context.ts'
import { LineCutter } from './lines.ts'
import { LiveLog } from './live-log.ts'
import type { CommonOptions } from './options.ts'
import { say, writeData } from './output.ts'
import { LeadingOlder } from './since.ts'
import { FileTail } from './tail-file.ts'

export interface LogsOptions extends CommonOptions {
  /** Absent: the live one, with --follow whichever is live. */
  readonly release?: string
  readonly follow: boolean
  /** So many of the last lines; null: all since `since`. */
  readonly n: number | null
  /** What was printed at this time, ms since 1970, or later. */
  readonly since?: number
}

const pollMs = 100

/** What a backend printed, as it is; with --json one document a line. */
export async function runLogs(options: LogsOptions): Promise<number> {
  const context = contextOf(options)
  const print = printer(options)
  if (options.follow && options.release === undefined) return await followLive(context, options, print)
  const place = await context.client.request<LogPlace>('GET', queryPath('/v1/logs', { service: context.service, release: options.release, since: options.since?.toString() }))
  if (!options.follow && !existsSync(place.file)) {
    throw new GracerError(`${place.release} has no log: ${place.file} is not there`, { code: 'no-log', hint: '"gracer explain" says what became of it.' })
  }
  const tail = await FileTail.at(place.file, options.n, place.from)
  let any = false
  for (;;) {
    const bytes = await tail.read()
    if (tail.takeRestarted()) tellRestart()
    if (bytes !== null) {
      any = true
      await print.bytes(bytes, place.release)
    }
    else if (options.follow) await delay(pollMs)
    else break
  }
  await print.end(place.release)
  if (!any && options.n !== 0) say(`gracer: ${place.release} has printed nothing${options.since === undefined ? '' : ' since'}; its log is ${place.file}`)
  return 0
}

async function followLive(context: Context, { n, since }: LogsOptions, print: Printer): Promise<number> {
  const log = new LiveLog(context.client, context.service, ({ file, from }, first) => (first ? FileTail.at(file, n, from) : Promise.resolve(new FileTail(file))), since)
  let release = await log.begin()
  const watching = log.watch(new AbortController().signal)
  const reading = async (): Promise<never> => {
    for (;;) {
      const { bytes, switched, restarted } = await log.read()
      if (restarted) tellRestart()
      if (switched !== null) {
        await print.end(release)
        release = switched
        say(`gracer: the log of ${release} from here`)
      }
      if (bytes !== null) await print.bytes(bytes, release)
      else if (switched === null) await delay(pollMs)
    }
  }
  await Promise.all([watching, reading()])
  return 0
}

function tellRestart(): void {
  say('gracer: lines of this log are gone that were not read; it goes on with the oldest that is left')
}

interface Printer {
  bytes(bytes: Buffer, release: string): Promise<void>
  end(release: string): Promise<void>
}

function printer({ json, since }: LogsOptions): Printer {
  const plain = json ? jsonPrinter() : { bytes: writeRaw, end: () => Promise.resolve() }
  if (since === undefined) return plain
  const older = new LeadingOlder(since)
  return {
    bytes: (bytes, release) => plain.bytes(older.push(bytes), release),
    async end(release) {
      await plain.bytes(older.end(), release)
      await plain.end(release)
    },
  }
}

function jsonPrinter(): Printer {
  const cutter = new LineCutter()
  const write = (lines: readonly string[], release: string): Promise<void> => writeData(lines.map((line) => `${JSON.stringify({ schema: 1, release, line })}\n`).join(''))
  return { bytes: (bytes, release) => write(cutter.push(bytes), release), end: (release) => write(cutter.end(), release) }
}

/** Bytes, not text: a log need not be UTF-8, and a character may be cut between two reads. */
async function writeRaw(bytes: Buffer): Promise<void> {
  if (process.stdout.write(bytes)) return
  await new Promise<void>((resolve) => process.stdout.once('drain', resolve))
}
