import { spawn, type ChildProcess } from 'node:child_process'
import { openSync } from 'node:fs'
import { isMessage, sendTo } from '../channel.ts'
import type { Log } from '../log.ts'
import type { FromAgent, ToAgent } from '../messages.ts'

/** An agent that has said nothing for this long is hung: it is ended, and only then is another started. */
const silenceMs = 15_000
const soonMs = 2_000
const slowestRestartMs = 5_000

export interface AgentProcessOptions {
  /** The agent program and its arguments; the master knows no more of it. */
  readonly entry: string
  readonly args: readonly string[]
  readonly logFile: string
  readonly log: Log
  /** A new one was started; everything it says from now on carries its epoch. Returns its hello. */
  readonly hello: () => ToAgent
  readonly message: (message: FromAgent) => void
  readonly gone: () => void
  readonly changed: () => void
}

/** Keeps one agent running: never two, because a new one is only started after the old one's exit was reaped. */
export class AgentProcess {
  readonly #options: AgentProcessOptions
  readonly #logFd: number
  #child: ChildProcess | null = null
  #startedAt = 0
  #lastWord = 0
  #quick = 0
  #closing = false
  #restart: NodeJS.Timeout | null = null
  readonly #watchdog: NodeJS.Timeout

  constructor(options: AgentProcessOptions) {
    this.#options = options
    this.#logFd = openSync(options.logFile, 'a', 0o600)
    this.#watchdog = setInterval(() => this.#endSilent(), 1_000)
  }

  get pid(): number | null {
    return this.#child?.pid ?? null
  }

  start(): void {
    if (this.#closing) return
    this.#restart = null
    const child = spawn(process.execPath, [this.#options.entry, ...this.#options.args], {
      stdio: ['ignore', this.#logFd, this.#logFd, 'ipc'],
      // Its own process group: Ctrl-C in the terminal is for the master to judge.
      detached: true,
    })
    this.#child = child
    this.#startedAt = performance.now()
    this.#lastWord = this.#startedAt
    child.on('error', (error) => this.#options.log.error('agent.error', { error: error.message }))
    child.on('message', (value) => {
      this.#lastWord = performance.now()
      if (isMessage(value) && this.#child === child) this.#options.message(value as FromAgent)
    })
    child.once('exit', (code, signal) => this.#exited(child, code, signal))
    if (child.pid === undefined) return this.#exited(child, null, null)
    this.send(this.#options.hello())
    this.#options.changed()
  }

  send(message: ToAgent): void {
    if (this.#child !== null) sendTo(this.#child, message)
  }

  /** None is started any more; the one that runs is left alone. */
  close(): void {
    this.#closing = true
    clearInterval(this.#watchdog)
    if (this.#restart !== null) clearTimeout(this.#restart)
  }

  /** Tells it to end and waits until it has; one that does not is killed after `patienceMs`. */
  async end(patienceMs: number): Promise<void> {
    this.close()
    const child = this.#child
    if (child === null) return
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
    this.send({ type: 'exit' })
    const timer = setTimeout(() => child.kill('SIGKILL'), patienceMs)
    await ended
    clearTimeout(timer)
  }

  kill(): void {
    this.close()
    this.#child?.kill('SIGKILL')
  }

  #exited(child: ChildProcess, code: number | null, signal: NodeJS.Signals | null): void {
    if (this.#child !== child) return
    this.#child = null
    this.#options.gone()
    this.#options.changed()
    if (this.#closing) return
    const soon = performance.now() - this.#startedAt < soonMs
    this.#quick = soon ? this.#quick + 1 : 0
    const delay = soon ? Math.min(slowestRestartMs, 50 * 2 ** this.#quick) : 0
    this.#options.log.error('agent.exited', { agentPid: child.pid, code, signal, restartMs: delay })
    this.#restart = setTimeout(() => this.start(), delay)
  }

  #endSilent(): void {
    if (this.#child === null || performance.now() - this.#lastWord < silenceMs) return
    this.#options.log.error('agent.silent', { agentPid: this.#child.pid, seconds: silenceMs / 1000 })
    // The exit that follows starts the next one.
    this.#child.kill('SIGKILL')
    this.#lastWord = performance.now()
  }
}
