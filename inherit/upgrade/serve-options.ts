import path from 'node:path'

import { GracerError } from '../gracer-error.ts'
import { shown, type ListenOptions } from '../listen-options.ts'
import type { DrainReport } from '../soft-drain.ts'

export type SignalName = 'SIGUSR2' | 'SIGHUP' | 'SIGTERM' | 'SIGINT'

export interface ServeOptions extends ListenOptions {
  /** Until a successor must serve, in milliseconds. Default 60,000. `notifier.extendTimeout()` gives it more. */
  readonly startTimeoutMs?: number | undefined
  /** Until a drain cuts what is left, in milliseconds. Default 30,000; Infinity: never. */
  readonly drainTimeoutMs?: number | undefined
  /** How long a successor that says it is ready must live on before it gets a connection. Default 100 ms. */
  readonly settleMs?: number | undefined
  /** How long it must live on beside this process, both accepting, before this one leaves. Default 400 ms. */
  readonly confirmMs?: number | undefined
  /**
   * SIGUSR2 and SIGHUP upgrade; SIGTERM and SIGINT drain and leave, a second one at once. All are on, but SIGHUP on a
   * terminal, where it means that the terminal is gone. `false` turns all off.
   */
  readonly signals?: false | Readonly<Partial<Record<SignalName, boolean>>> | undefined
  /** Path of a unix socket that takes GET / and POST /upgrade, in a folder of mode 0700 (made where missing). Default: none. */
  readonly control?: string | undefined
  /** Default: none. */
  readonly pidFile?: string | undefined
  /** A parent with a constant pid stays in front and holds the sockets; for supervisors and Docker's PID 1. Default false. */
  readonly front?: boolean | undefined
  /** The folder that a successor starts in. Default: the one this process was started in, by the shell's name for it. */
  readonly cwd?: string | undefined
  /** Called when a drain begins: the moment to close WebSockets and to end streams. The drain does not wait for it. */
  readonly onDrain?: (() => unknown) | undefined
  /** Called after a drain, before the process ends; awaited, for 10 s at most. */
  readonly onClose?: ((report: DrainReport) => unknown) | undefined
  /** Whether the process ends, with exit code 0, after a drain that a signal or an upgrade began. Default true. */
  readonly exit?: boolean | undefined
  /** Takes a line for each thing that happens. Default: stderr; `false`: nobody. */
  readonly log?: false | ((line: string) => void) | undefined
}

/** Checked, with defaults. */
export interface ServeSettings {
  readonly startTimeoutMs: number
  readonly drainTimeoutMs: number
  readonly settleMs: number
  readonly confirmMs: number
  readonly signals: ReadonlySet<SignalName>
  readonly control: string | undefined
  readonly pidFile: string | undefined
  readonly front: boolean
  readonly cwd: string | undefined
  readonly onDrain: () => unknown
  readonly onClose: (report: DrainReport) => unknown
  readonly exit: boolean
  readonly log: (line: string) => void
}

const times = { startTimeoutMs: 60_000, drainTimeoutMs: 30_000, settleMs: 100, confirmMs: 400 } as const
const signalNames: readonly SignalName[] = ['SIGUSR2', 'SIGHUP', 'SIGTERM', 'SIGINT']
const kinds: Readonly<Record<string, string>> = { control: 'string', pidFile: 'string', cwd: 'string', front: 'boolean', exit: 'boolean', onDrain: 'function', onClose: 'function' }
const others = ['signals', 'log', 'name', 'port', 'host', 'path', 'backlog']

/** Throws GracerError 'serve-options' (exit 2) that names the option, what was expected and what came. */
export function readServeOptions(options: ServeOptions, onTerminal: boolean): ServeSettings {
  if (typeof options !== 'object' || options === null) {
    throw new GracerError(`serve: the options must be an object, not ${shown(options)}`, { code: 'serve-options', exitCode: 2, hint: 'As in serve(handler, { port: 3000 }).' })
  }
  const given = new Map(Object.entries(options as Record<string, unknown>).filter(([, value]) => value !== undefined))
  for (const [name, value] of given) check(name, value)
  const time = (name: keyof typeof times): number => (given.get(name) as number | undefined) ?? times[name]
  return {
    startTimeoutMs: time('startTimeoutMs'),
    drainTimeoutMs: time('drainTimeoutMs'),
    settleMs: time('settleMs'),
    confirmMs: time('confirmMs'),
    signals: signalsOf(options.signals, onTerminal),
    control: absolute(options.control),
    pidFile: absolute(options.pidFile),
    front: options.front ?? false,
    cwd: absolute(options.cwd),
    onDrain: options.onDrain ?? (() => {}),
    onClose: options.onClose ?? (() => {}),
    exit: options.exit ?? true,
    log: options.log === false ? () => {} : (options.log ?? ((line) => void process.stderr.write(`gracer: ${line}\n`))),
  }
}

function check(name: string, value: unknown): void {
  if (name in times) {
    if (typeof value !== 'number' || Number.isNaN(value) || value < 0) throw wrong(name, 'milliseconds, 0 or more', value)
  } else if (name in kinds) {
    if (typeof value !== kinds[name] || value === '') throw wrong(name, `a ${kinds[name]}`, value)
  } else if (name === 'log') {
    if (value !== false && typeof value !== 'function') throw wrong(name, 'a function, or false', value)
  } else if (name === 'signals') {
    const entries = typeof value === 'object' && value !== null ? Object.entries(value) : value === false ? [] : undefined
    const bad = entries?.find(([signal, on]) => !signalNames.includes(signal as SignalName) || typeof on !== 'boolean')
    if (entries === undefined || bad !== undefined) throw wrong(name, `false, or an object of ${signalNames.join(', ')} with true or false`, bad === undefined ? value : bad[0])
  } else if (!others.includes(name)) {
    throw wrong(name, `one of ${[...Object.keys(times), ...Object.keys(kinds), ...others].sort().join(', ')}`, undefined)
  }
}

function wrong(name: string, expected: string, got: unknown): GracerError {
  const what = got === undefined ? `there is no option "${name}"; there are` : `the option "${name}" must be`
  return new GracerError(`serve: ${what} ${expected.replace(/^one of /, '')}${got === undefined ? '' : `, not ${shown(got)}`}`, { code: 'serve-options', exitCode: 2 })
}

function signalsOf(given: ServeOptions['signals'], onTerminal: boolean): Set<SignalName> {
  if (given === false) return new Set()
  const byDefault = (name: SignalName): boolean => name !== 'SIGHUP' || !onTerminal
  return new Set(signalNames.filter((name) => given?.[name] ?? byDefault(name)))
}

function absolute(file: string | undefined): string | undefined {
  return file === undefined ? undefined : path.resolve(file)
}
