import { attempt, type Exit, type Successor } from './attempt.ts'
import { ControlSocket } from './control-socket.ts'
import { FrontSockets } from './front-sockets.ts'
import { refusal } from './front-words.ts'
import { ownLaunch, type Launch } from './launch.ts'
import type { NamedSpec } from './listener-specs.ts'
import { PidFile } from './pid-file.ts'
import { afterCrash, failuresAfter } from './restart.ts'
import type { ServeSettings } from './serve-options.ts'
import { tellMainPid } from './service-manager.ts'
import { surviveBrokenOutput } from './broken-output.ts'
import { onSignals } from './triggers.ts'
import { failureText, startFailureText, type Description, type Upgradable, type Upgraded, type UpgradeOptions } from './upgradable.ts'
import { UpgradeError } from './upgrade-error.ts'

/** How much longer than its drain may take a generation is given before it is killed. */
const graceMs = 15_000
/** … and after it was told to leave at once. */
const hurryMs = 3_000
/** 24 days: what setTimeout can count. */
const longestTimeoutMs = 2 ** 31 - 1

/**
 * The parent with the constant pid: holds the sockets without accepting, starts the generations, tells the old one to
 * leave when the new one is confirmed, and starts the program again after a crash: connections wait in the kernel's
 * queue meanwhile. Never returns; ends the process with the program's exit code.
 */
export async function stayInFront(specs: readonly NamedSpec[], settings: ServeSettings): Promise<never> {
  const sockets = await FrontSockets.open(specs)
  const front = new Front(sockets, settings, { ...ownLaunch, cwd: settings.cwd ?? ownLaunch.cwd })
  return front.run()
}

class Front implements Upgradable {
  readonly #sockets: FrontSockets
  readonly #settings: ServeSettings
  readonly #launch: Launch
  readonly #control: ControlSocket | undefined
  readonly #pidFile: PidFile | undefined
  readonly #stopping = new AbortController()
  #generation = 0
  /** The generation that serves. */
  #current: Successor | undefined
  /** The one before, which drains. */
  #old: Successor | undefined
  #attempting: AbortController | undefined
  #failures = 0
  #signalled = 0

  constructor(sockets: FrontSockets, settings: ServeSettings, launch: Launch) {
    this.#sockets = sockets
    this.#settings = settings
    this.#launch = launch
    this.#control = settings.control === undefined ? undefined : new ControlSocket(settings.control, this)
    this.#pidFile = settings.pidFile === undefined ? undefined : new PidFile(settings.pidFile)
  }

  async run(): Promise<never> {
    const { signals, log } = this.#settings
    surviveBrokenOutput()
    onSignals(signals, {
      upgrade: () => void this.upgrade().catch(() => {}),
      leave: (signal) => this.#onLeaveSignal(signal),
    })
    this.#pidFile?.write()
    await this.#control?.open()
    await this.#startAgain()
    await tellMainPid(this.#launch.env['NOTIFY_SOCKET'], process.pid, this.#launch.env['PATH']).then((problem) => problem !== undefined && log(problem))
    return new Promise<never>(() => {})
  }

  describe(): Description {
    const state = this.#stopping.signal.aborted ? 'draining' : this.#attempting !== undefined ? (this.#current === undefined ? 'starting' : 'upgrading') : 'serving'
    return { pid: this.#current?.pid ?? process.pid, generation: this.#current?.generation ?? 0, state, leaving: this.#old?.pid ?? null, listeners: this.#sockets.describe() }
  }

  async upgrade(options: UpgradeOptions = {}): Promise<Upgraded> {
    try {
      return await this.#upgrade(options)
    } catch (error) {
      this.#settings.log(failureText(error))
      throw error
    }
  }

  async #upgrade({ signal }: UpgradeOptions): Promise<Upgraded> {
    if (this.#stopping.signal.aborted) throw new UpgradeError('busy', 'the program drains and will leave')
    if (this.#attempting !== undefined) throw new UpgradeError('busy', this.#current === undefined ? 'the program is being started' : 'an upgrade is under way')
    if (this.#old !== undefined) throw new UpgradeError('busy', `generation ${this.#old.generation} (pid ${this.#old.pid}) has not left yet: it is still answering`)
    const { settleMs, confirmMs, log } = this.#settings
    const before = this.#current
    try {
      const successor = await this.#attempt({ settleMs, confirmMs }, signal)
      const { pid, generation } = successor
      log(`generation ${generation} serves as pid ${pid}${before?.exit === undefined ? `; pid ${before?.pid} drains` : ''}`)
      return { pid, generation }
    } finally {
      // The one before may have crashed while the attempt was under way, and the attempt may have failed.
      if (this.#current === undefined && !this.#stopping.signal.aborted) void this.#startAgain()
    }
  }

  async #attempt(times: { settleMs: number; confirmMs: number }, signal?: AbortSignal): Promise<Successor> {
    const attempting = new AbortController()
    this.#attempting = attempting
    try {
      const successor = await attempt({
        launch: this.#launch,
        sockets: this.#sockets.passed(),
        mark: { generation: this.#generation + 1, by: 'front', pid: process.pid, paths: this.#sockets.paths(), given: this.#sockets.given() },
        limits: { startMs: this.#settings.startTimeoutMs, ...times },
        signal: AbortSignal.any([attempting.signal, this.#stopping.signal, ...(signal === undefined ? [] : [signal])]),
        onLine: (key, value, from) => this.#onWord(key, value, from),
      })
      this.#takeOver(successor)
      return successor
    } finally {
      this.#attempting = undefined
    }
  }

  #takeOver(successor: Successor): void {
    const old = this.#current
    this.#generation = successor.generation
    this.#current = successor
    successor.say('COMMIT', '1')
    const since = performance.now()
    void successor.exited.then((exit) => this.#onExit(successor, exit, performance.now() - since))
    if (old === undefined) return
    this.#old = old
    // In the next turn: whoever asked for the upgrade through the old one is answered first.
    setImmediate(() => this.#tellToStop(old, '1'))
  }

  /** A generation has asked for an upgrade, from its own code. */
  #onWord(key: string, value: string, from: Successor): void {
    if (key !== 'UPGRADE') return
    if (value === 'abort') return this.#attempting?.abort()
    this.upgrade().then(
      (upgraded) => from.say('UPGRADED', JSON.stringify(upgraded)),
      (error: unknown) => from.say('REFUSED', refusal(error)),
    )
  }

  #tellToStop(generation: Successor, word: '1' | 'now'): void {
    generation.say('STOP', word)
    const ms = word === 'now' ? hurryMs : this.#settings.drainTimeoutMs + graceMs
    if (ms > longestTimeoutMs) return
    const timer = setTimeout(() => {
      this.#settings.log(`pid ${generation.pid} did not leave in time and is killed`)
      generation.kill()
    }, ms)
    void generation.exited.then(() => clearTimeout(timer))
  }

  #onExit(generation: Successor, exit: Exit, servedMs: number): void {
    if (generation === this.#old) this.#old = undefined
    if (generation !== this.#current) return
    this.#current = undefined
    if (this.#stopping.signal.aborted) return
    // The program has come to its end by itself.
    if (exit.code === 0) return void this.#end(0)
    this.#settings.log(`pid ${generation.pid} ended with ${exit.signal ?? `exit code ${exit.code}`}`)
    this.#failures = failuresAfter(this.#failures, servedMs)
    // An upgrade under way brings the next one.
    if (this.#attempting === undefined) void this.#startAgain()
  }

  /** The first start, and each one after a crash. */
  async #startAgain(): Promise<void> {
    for (;;) {
      if (this.#failures > 0) {
        const next = afterCrash(this.#failures)
        if (next === 'give-up') {
          this.#settings.log(`the program has failed ${this.#failures} times in a row; giving up`)
          return this.#end(1)
        }
        await new Promise((resolve) => setTimeout(resolve, next.delayMs))
      }
      if (this.#stopping.signal.aborted || this.#attempting !== undefined || this.#current !== undefined) return
      try {
        await this.#attempt({ settleMs: 0, confirmMs: 0 })
        return
      } catch (error) {
        if (this.#stopping.signal.aborted) return
        this.#settings.log(startFailureText(error))
        // What never ran is a mistake to be seen at once, not a crash to be ridden out.
        if (this.#generation === 0) return this.#end(1)
        this.#failures += 1
      }
    }
  }

  #onLeaveSignal(signal: string): void {
    this.#signalled += 1
    if (this.#signalled > 1) this.#settings.log(`${signal} again: what is left is cut`)
    void this.#stop(this.#signalled > 1)
  }

  async #stop(now: boolean): Promise<void> {
    this.#stopping.abort('the program was told to leave')
    const running = [this.#current, this.#old].filter((one) => one !== undefined)
    for (const one of running) if (now || one !== this.#old) this.#tellToStop(one, now ? 'now' : '1')
    await Promise.all(running.map((one) => one.exited))
    await this.#end(0)
  }

  async #end(code: number): Promise<void> {
    if (!this.#stopping.signal.aborted) this.#stopping.abort('the program has ended')
    if (this.#old !== undefined) await this.#old.exited
    await this.#control?.close(true)
    this.#pidFile?.remove()
    await this.#sockets.close()
    process.exit(code)
  }
}
