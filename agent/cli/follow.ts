import { readFileSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { controlClient } from '../control/client.ts'
import type { Status } from '../control/shapes.ts'
import { findStateFolder } from '../state-folder.ts'
import type { StateFolder } from '../state-folder.ts'
import { palette } from './color.ts'
import { LineCutter } from './lines.ts'
import { LiveLog } from './live-log.ts'
import { endQuietlyOnClosedOutput, say } from './output.ts'
import { prettyLine, timeOfLine } from './pretty-log.ts'
import { FileTail } from './tail-file.ts'

export interface ConsoleOptions {
  /** The state folder, absolute. */
  readonly state: string
  /** True: gracer's own log is worded for a person; false: as it stands, one JSON document a line. */
  readonly tty: boolean
}

const pollMs = 100
/** Lines of an earlier run are left out; the run that started this process began at most so long before it. */
const headStartMs = 5_000
/** Of a log that was begun by an earlier run and goes on in this one. */
const linesOfOldLog = 20

/**
 * The console of `gracer up`, in a process of its own, so that a terminal that is slow or gone can stop nothing else:
 * gracer's log goes to stderr, the live backend's output to stdout as it is. Ends only with its parent, after a last
 * look at both.
 */
export async function runConsole(options: ConsoleOptions): Promise<never> {
  endQuietlyOnClosedOutput()
  // Ctrl-C reaches the whole foreground group; what the drain says is still to be shown.
  process.on('SIGINT', () => {})
  const state = findStateFolder(options.state)
  const parent = process.ppid
  // A parent that died before this line has been replaced by whoever adopts orphans: the lock says who it should be.
  const bornOrphan = masterOf(state) !== parent
  const since = Date.now() - process.uptime() * 1_000 - headStartMs
  const own = new OwnLog(await FileTail.at(state.logFile, 200), since, options.tty)
  const live = await liveOutputs(state, since)
  for (;;) {
    const orphaned = bornOrphan || process.ppid !== parent
    const quiet = [await own.show(), await live.show()].every((shown) => !shown)
    if (quiet && orphaned) process.exit(0)
    if (quiet) await delay(pollMs)
  }
}

/** The pid in the lock of the state folder; null where there is none. */
function masterOf(state: StateFolder): number | null {
  try {
    return (JSON.parse(readFileSync(state.lock, 'utf8')) as { pid: number }).pid
  } catch {
    return null
  }
}

class OwnLog {
  readonly #tail: FileTail
  readonly #cutter = new LineCutter()
  readonly #since: number
  readonly #tty: boolean
  readonly #palette = palette(true, process.stderr)

  constructor(tail: FileTail, since: number, tty: boolean) {
    this.#tail = tail
    this.#since = since
    this.#tty = tty
  }

  /** True where there was something to show. */
  async show(): Promise<boolean> {
    const bytes = await this.#tail.read()
    if (bytes === null) return false
    for (const line of this.#cutter.push(bytes)) {
      const time = timeOfLine(line)
      if (line === '' || (time !== null && time < this.#since)) continue
      say(this.#tty ? prettyLine(line, this.#palette) : line)
    }
    return true
  }
}

/** A log of this run from its first line; of an earlier run only what is new. */
async function fromThisRun(file: string, since: number): Promise<FileTail> {
  const found = await stat(file).catch(() => null)
  if (found === null) return new FileTail(file)
  if (found.mtimeMs < since) return new FileTail(file, found.size)
  return found.birthtimeMs < since ? await FileTail.at(file, linesOfOldLog) : new FileTail(file)
}

/** One for each service; services that a reload adds are shown by the next console. */
async function liveOutputs(state: StateFolder, since: number): Promise<{ show(): Promise<boolean> }> {
  const names = await controlClient(state.controlSocket).request<Status>('GET', '/v1/status').then(({ services }) => services.map(({ name }) => name), () => ['default'])
  const outputs = names.map((name) => liveOutput(state, since, name))
  return { show: async () => (await Promise.all(outputs.map((output) => output.show()))).some((shown) => shown) }
}

function liveOutput(state: StateFolder, since: number, service: string): { show(): Promise<boolean> } {
  const log = new LiveLog(controlClient(state.controlSocket), service, ({ file }) => fromThisRun(file, since))
  let failed = false
  log.watch(new AbortController().signal).catch((error: unknown) => {
    failed = true
    say(`gracer: the console lost the agent's events: ${String(error)}`)
  })
  let reading: Promise<boolean> | null = null
  const read = async (): Promise<boolean> => {
    const { bytes, switched } = await log.read()
    if (bytes === null) return switched !== null
    if (!process.stdout.write(bytes)) await new Promise<void>((resolve) => process.stdout.once('drain', resolve))
    return true
  }
  return {
    // Asking where the log lies may wait for the agent: gracer's own log must not wait with it.
    async show() {
      if (failed) return false
      reading ??= read().finally(() => {
        reading = null
      })
      return await Promise.race([reading, delay(pollMs, false)])
    },
  }
}
