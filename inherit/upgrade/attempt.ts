import { once } from 'node:events'

import { GracerError } from '../gracer-error.ts'
import { firstPassedFd, spawnWithSockets, type HandedDown, type PassedSocket } from '../hand-down.ts'
import { attemptStep, firstAttemptState, type AttemptEffect, type AttemptEvent, type AttemptLimits, type AttemptTimer } from './attempt-step.ts'
import { checkMain, type Launch } from './launch.ts'
import { writeMark, type Mark } from './mark.ts'
import { UpgradeError } from './upgrade-error.ts'
import { FileTail, witnessed } from './witness.ts'

/** After an exit the last lines may still be in the pipe; after SIGKILL the kernel may take its time. */
const lastLinesMs = 250
const killedMs = 5_000
const mostLines = 20
/** 24 days: what setTimeout can count. */
const longestTimeoutMs = 2 ** 31 - 1

export interface AttemptOptions {
  readonly launch: Launch
  readonly sockets: readonly PassedSocket[]
  readonly mark: Mark
  readonly limits: AttemptLimits
  readonly signal?: AbortSignal | undefined
  /** Lines that are none of the attempt's own: STATUS, UPGRADE, TAKEN, … */
  readonly onLine?: (key: string, value: string, successor: Successor) => unknown
}

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** A process that serves, and has been confirmed. */
export interface Successor {
  readonly pid: number
  readonly generation: number
  say(key: string, value: string): void
  readonly exited: Promise<Exit>
  /** Undefined while it runs. */
  readonly exit: Exit | undefined
  /** Kills its process group. */
  kill(): void
  /** This process may end without waiting for it. */
  unref(): void
}

/**
 * Starts the next generation and resolves when it is confirmed; `COMMIT` is then still to be said. Rejects with
 * UpgradeError, when the failed one and its process group are gone.
 */
export async function attempt(options: AttemptOptions): Promise<Successor> {
  const tail = new FileTail()
  return new Attempt(options, start(options), tail).result
}

function start({ launch, sockets, mark }: AttemptOptions): HandedDown {
  try {
    checkMain(launch)
    return spawnWithSockets({
      command: launch.command,
      cwd: launch.cwd,
      env: witnessed({ ...launch.env, GRACER_SUCCESSOR: writeMark(mark) }),
      sockets,
      stdout: 1,
      stderr: 2,
      asWritten: true,
    })
  } catch (cause) {
    throw new UpgradeError('spawn', (cause as Error).message, { cause, hint: cause instanceof GracerError ? cause.hint : undefined })
  }
}

class Attempt {
  readonly result: Promise<Successor>
  readonly #options: AttemptOptions
  readonly #handed: HandedDown
  readonly #tail: FileTail
  readonly #timers = new Map<AttemptTimer, NodeJS.Timeout>()
  readonly #lines: string[] = []
  readonly #successor: Successor & { exit: Exit | undefined }
  readonly #onAbort = (): void => this.#handle({ type: 'abort', reason: reasonOf(this.#options.signal) })
  #state = firstAttemptState
  #deadline = 0
  #resolve!: (successor: Successor) => void
  #reject!: (error: UpgradeError) => void

  constructor(options: AttemptOptions, handed: HandedDown, tail: FileTail) {
    this.#options = options
    this.#handed = handed
    this.#tail = tail
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    this.#successor = this.#describe()
    this.#watch()
    this.#extend(options.limits.startMs)
    const { signal } = options
    if (signal?.aborted === true) this.#onAbort()
    else signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  #describe(): Successor & { exit: Exit | undefined } {
    const { pid, child, say } = this.#handed
    const successor: Successor & { exit: Exit | undefined } = {
      pid,
      generation: this.#options.mark.generation,
      say,
      exit: undefined,
      exited: once(child, 'exit').then(([code, signal]) => {
        successor.exit = { code: code as number | null, signal: signal as NodeJS.Signals | null }
        return successor.exit
      }),
      kill: () => killGroup(pid),
      unref: () => {
        child.unref()
        ;(child.stdio[firstPassedFd + this.#options.sockets.length] as unknown as { unref(): void }).unref()
      },
    }
    return successor
  }

  #watch(): void {
    const { events } = this.#handed
    const { onLine } = this.#options
    events.on('notify', (key, value) => {
      if (key === 'OUTPUT') this.#lines.splice(0, this.#lines.push(value) - mostLines)
      else onLine?.(key, value, this.#successor)
      this.#handle({ type: 'line', key, value })
    })
    events.on('garbage', () => this.#handle({ type: 'garbage' }))
    const ended = once(events, 'notifyEnd')
    void ended.then(() => this.#handle({ type: 'mute' }))
    void this.#successor.exited.then(async (exit) => {
      await Promise.race([ended, delay(lastLinesMs)])
      this.#handle({ type: 'exited', ...exit })
    })
  }

  #handle(event: AttemptEvent): void {
    const [state, effects] = attemptStep(this.#state, event, this.#options.limits)
    this.#state = state
    for (const effect of effects) this.#carryOut(effect)
  }

  #carryOut(effect: AttemptEffect): void {
    switch (effect.type) {
      case 'timer':
        return this.#arm(effect.timer, effect.ms)
      case 'extend':
        return this.#extend(effect.ms)
      case 'say':
        return this.#handed.say(effect.key, effect.value)
      case 'commit':
        this.#settle()
        return this.#resolve(this.#successor)
      case 'fail':
        this.#settle()
        void this.#fail(effect)
    }
  }

  #arm(timer: AttemptTimer, ms: number): void {
    clearTimeout(this.#timers.get(timer))
    if (ms > longestTimeoutMs) return
    // Once it has ended only its last lines are awaited.
    this.#timers.set(timer, setTimeout(() => this.#successor.exit === undefined && this.#handle({ type: 'timer', timer }), ms))
  }

  #extend(ms: number): void {
    const deadline = performance.now() + ms
    if (deadline <= this.#deadline) return
    this.#deadline = deadline
    this.#arm('start', ms)
  }

  #settle(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer)
    this.#options.signal?.removeEventListener('abort', this.#onAbort)
  }

  async #fail({ code, reason }: Extract<AttemptEffect, { type: 'fail' }>): Promise<void> {
    const { pid } = this.#handed
    // Also where its leader has ended: what it has started is of no use.
    killGroup(pid)
    await Promise.race([this.#successor.exited, delay(killedMs)])
    const lines = this.#lines.length > 0 ? this.#lines : await this.#tail.lines()
    this.#reject(new UpgradeError(code, `the successor (pid ${pid}) ${reason}`, { lines }))
  }
}

function reasonOf(signal: AbortSignal | undefined): string {
  const reason: unknown = signal?.reason
  return typeof reason === 'string' ? reason : 'the upgrade was aborted'
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref())
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // All of it has ended.
  }
}
