import { createReadStream, fstatSync } from 'node:fs'

/**
 * A successor writes to the very stdout and stderr of the process before, which therefore cannot read them; and a pipe
 * through it would break when it leaves. So a small module runs in the successor before its program and says what that
 * writes through the notify descriptor too: a few lines ten times a second, so that those of a program that hangs are known
 * as well, and the rest at its exit. One write of so little is never cut in two by a full socket (unix(7)). The module is
 * given as a data: URL, because a file of the old code may be gone when a worker thread of the new one would load it once
 * more.
 */
const program = `
const e = process.env, fd = Number(e.GRACER_NOTIFY_FD)
if (e.GRACER_WITNESS === '1' && e.GRACER_NOTIFY_PID === String(process.pid)) {
  const { fstatSync, writeSync } = await import('node:fs')
  const { setTimeout, clearTimeout } = await import('node:timers')
  // A program that closes the descriptor gets the number again for something of its own.
  const { ino } = fstatSync(fd)
  delete e.GRACER_WITNESS
  if (e.GRACER_NODE_OPTIONS === undefined) delete e.NODE_OPTIONS; else e.NODE_OPTIONS = e.GRACER_NODE_OPTIONS
  delete e.GRACER_NODE_OPTIONS
  let text = '', timer
  const say = (all) => {
    timer = undefined
    const end = all ? text.length : text.lastIndexOf('\\n') + 1
    const lines = text.slice(0, end).split('\\n').filter((line) => line.trim() !== '').slice(-20)
    text = text.slice(end)
    try { if (lines.length > 0 && fstatSync(fd).ino === ino) writeSync(fd, lines.map((line) => 'OUTPUT=' + line.slice(0, 500) + '\\n').join('')) } catch {}
  }
  const keep = (some) => {
    text = (text + some).slice(-8000)
    timer ??= setTimeout(say, 100, false).unref()
  }
  const back = []
  for (const name of ['stdout', 'stderr']) {
    const stream = process[name], own = Object.hasOwn(stream, 'write'), { write } = stream
    const kept = function (chunk, ...rest) { keep(typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString()); return write.call(this, chunk, ...rest) }
    stream.write = kept
    back.push(() => { if (stream.write === kept) { if (own) stream.write = write; else delete stream.write } })
  }
  const fatal = (error) => keep((error?.stack ?? String(error)) + '\\n')
  const last = () => say(true)
  process.on('uncaughtExceptionMonitor', fatal).on('exit', last)
  globalThis[Symbol.for('gracer.witness.1')] = () => {
    process.off('uncaughtExceptionMonitor', fatal).off('exit', last)
    clearTimeout(timer)
    for (const undo of back) undo()
  }
}
`
const url = `data:text/javascript,${encodeURIComponent(program.trim()).replace(/'/g, '%27')}`

/** The environment of a Node child, with what has it witnessed. */
export function witnessed(env: Readonly<Record<string, string>>): Record<string, string> {
  const options = env['NODE_OPTIONS']
  return {
    ...env,
    GRACER_WITNESS: '1',
    NODE_OPTIONS: `${options === undefined ? '' : `${options} `}--import=${url}`,
    ...(options === undefined ? {} : { GRACER_NODE_OPTIONS: options }),
  }
}

/** For the successor, once it serves: nothing is kept any more. */
export function dismissWitness(): void {
  const holder = globalThis as { [key: symbol]: (() => void) | undefined }
  holder[Symbol.for('gracer.witness.1')]?.()
}

/** The other source: where stderr is a file, its end since a moment before. */
export class FileTail {
  readonly #fd: number
  readonly #from: number | undefined

  constructor(fd = 2) {
    this.#fd = fd
    this.#from = sizeOfFile(fd)
  }

  async lines(): Promise<string[]> {
    const size = sizeOfFile(this.#fd)
    if (this.#from === undefined || size === undefined || size <= this.#from) return []
    const start = Math.max(this.#from, size - 8_000)
    try {
      let text = ''
      for await (const chunk of createReadStream(`/proc/self/fd/${this.#fd}`, { start, end: size - 1, encoding: 'utf8' })) text += chunk as string
      return text.split('\n').filter((line) => line.trim() !== '').slice(-20)
    } catch {
      return []
    }
  }
}

function sizeOfFile(fd: number): number | undefined {
  try {
    const stat = fstatSync(fd)
    return stat.isFile() ? stat.size : undefined
  } catch {
    return undefined
  }
}
