import { spawn, type ChildProcess } from 'node:child_process'
import { openSync } from 'node:fs'
import { GracerError } from '../../inherit/gracer-error.ts'
import { isMessage, sendTo } from '../channel.ts'
import type { Log } from '../log.ts'
import { protocolVersion, type FromAgent, type ToAgent } from '../messages.ts'

/** An agent that has said nothing for this long is hung: it is ended, and only then is another started. */
const silenceMs = 15_000
/** The same while it has a canary to judge. */
const judgingSilenceMs = 5_000
const soonMs = 2_000
const slowestRestartMs = 5_000
/** What an agent that is told to end may take. */
const endMs = 2_000

export interface AgentProcessOptions {
  /** Something is on trial that only it can judge. */
  readonly isJudging: () => boolean
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

/** An agent that has loaded its program and waits to be given its turn. */
export interface Candidate {
  readonly child: ChildProcess
  readonly entry: string
  discard(): void
}

/** Keeps one agent running: never two, because a new one is only started after the old one's exit was reaped. */
export class AgentProcess {
  readonly #options: AgentProcessOptions
  readonly #logFd: number
  #entry: string
  #child: ChildProcess | null = null
  #candidate: ChildProcess | null = null
  /** The agent is being replaced: its exit starts no other. */
  #replacing = false
  #settled: ((error: Error | null) => void) | null = null
  /** The hello was sent. */
  #greeted = false
  #startedAt = 0
  #lastWord = 0
  #quick = 0
  /** Agents that ended unasked, and in whose place another was started. */
  restarts = 0
  #closing = false
  #restart: NodeJS.Timeout | null = null
  readonly #watchdog: NodeJS.Timeout

  constructor(options: AgentProcessOptions) {
    this.#options = options
    this.#entry = options.entry
    this.#logFd = openSync(options.logFile, 'a', 0o600)
    this.#watchdog = setInterval(() => this.#endSilent(), 1_000)
  }

  get pid(): number | null {
    return this.#child?.pid ?? null
  }

  start(): void {
    if (this.#closing) return
    this.#restart = null
    const child = this.#spawn(this.#entry)
    this.#adopt(child)
    child.once('message', (value) => this.#loaded(child, value))
    if (child.pid === undefined) return this.#exited(child, null, null)
    this.#options.changed()
  }

  /**
   * Starts an agent of this program that waits, once it is loaded, to be given its turn: it has neither looked at
   * anything nor ordered anything. @throws GracerError 'agent-not-up', 'protocol'.
   */
  async candidate(entry: string, deadlineMs: number): Promise<Candidate> {
    const child = this.#spawn(entry)
    this.#candidate = child
    let timer: NodeJS.Timeout | undefined
    try {
      await new Promise<void>((resolve, reject) => {
        timer = setTimeout(() => reject(notUp(`it was not loaded within ${deadlineMs / 1000} s`)), deadlineMs)
        child.once('exit', (code, signal) => reject(notUp(`it ${signal === null ? `exited with code ${code}` : `was ended by ${signal}`}; its last words are in ${this.#options.logFile}`)))
        child.once('message', (value) => {
          const trouble = protocolTrouble(value)
          if (trouble === null) resolve()
          else reject(trouble)
        })
      })
    } catch (error) {
      child.kill('SIGKILL')
      throw error
    } finally {
      clearTimeout(timer)
    }
    return { child, entry, discard: () => child.kill('SIGKILL') }
  }

  /** Ends the agent that runs, reaps it, and gives its turn to the candidate. */
  async replace({ child, entry }: Candidate): Promise<void> {
    this.#replacing = true
    if (this.#restart !== null) clearTimeout(this.#restart)
    const old = this.#child
    if (old !== null) {
      const ended = new Promise<void>((resolve) => old.once('exit', () => resolve()))
      this.send({ type: 'exit' })
      const timer = setTimeout(() => old.kill('SIGKILL'), endMs)
      await ended
      clearTimeout(timer)
    }
    this.#replacing = false
    this.#candidate = null
    this.#entry = entry
    if (this.#closing || child.exitCode !== null || child.signalCode !== null) return this.start()
    this.#adopt(child)
    this.#greet()
    this.#options.changed()
  }

  /** Ends the agent that runs; the one that is started after it is of this program. */
  restartFrom(entry: string): void {
    this.#entry = entry
    this.#quick = 0
    if (this.#child === null) this.#restart ??= setTimeout(() => this.start(), 0)
    else this.#child.kill('SIGKILL')
  }

  /** The agent has said that it has settled what it found. */
  hasSettled(): void {
    this.#settled?.(null)
  }

  /** Resolves when the agent has settled what it found; rejects where it ends first, and after the deadline. */
  async settled(deadlineMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    try {
      await new Promise<void>((resolve, reject) => {
        timer = setTimeout(() => reject(notUp(`it had not settled what it found after ${deadlineMs / 1000} s`)), deadlineMs)
        this.#settled = (error) => (error === null ? resolve() : reject(error))
      })
    } finally {
      this.#settled = null
      clearTimeout(timer)
    }
  }

  #spawn(entry: string): ChildProcess {
    const child = spawn(process.execPath, [entry, ...this.#options.args], {
      stdio: ['ignore', this.#logFd, this.#logFd, 'ipc'],
      // Its own process group: Ctrl-C in the terminal is for the master to judge.
      detached: true,
    })
    child.on('error', (error) => this.#options.log.error('agent.error', { error: error.message }))
    return child
  }

  #adopt(child: ChildProcess): void {
    this.#child = child
    this.#greeted = false
    this.#startedAt = performance.now()
    this.#lastWord = this.#startedAt
    child.on('message', (value) => {
      this.#lastWord = performance.now()
      if (isMessage(value) && this.#child === child && this.#greeted) this.#options.message(value as FromAgent)
    })
    child.once('exit', (code, signal) => this.#exited(child, code, signal))
  }

  #loaded(child: ChildProcess, value: unknown): void {
    if (this.#child !== child) return
    const trouble = protocolTrouble(value)
    if (trouble === null) return this.#greet()
    // Its installation was replaced under a running master; the exit that follows starts the next one, more and more slowly.
    this.#options.log.error('agent.protocol', { error: trouble.message, hint: trouble.hint })
    child.kill('SIGKILL')
  }

  #greet(): void {
    this.#greeted = true
    this.send(this.#options.hello())
  }

  send(message: ToAgent): void {
    if (this.#child !== null) sendTo(this.#child, message)
  }

  /** None is started any more; the one that runs is left alone. */
  close(): void {
    this.#closing = true
    clearInterval(this.#watchdog)
    if (this.#restart !== null) clearTimeout(this.#restart)
    this.#candidate?.kill('SIGKILL')
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
    this.#settled?.(notUp(`it ${signal === null ? `exited with code ${code}` : `was ended by ${signal}`}; its last words are in ${this.#options.logFile}`))
    if (this.#closing || this.#replacing) return
    this.restarts += 1
    const soon = performance.now() - this.#startedAt < soonMs
    this.#quick = soon ? this.#quick + 1 : 0
    const delay = soon ? Math.min(slowestRestartMs, 50 * 2 ** this.#quick) : 0
    this.#options.log.error('agent.exited', { agentPid: child.pid, code, signal, restartMs: delay })
    this.#restart = setTimeout(() => this.start(), delay)
  }

  #endSilent(): void {
    const mostMs = this.#options.isJudging() ? judgingSilenceMs : silenceMs
    if (this.#child === null || performance.now() - this.#lastWord < mostMs) return
    this.#options.log.error('agent.silent', { agentPid: this.#child.pid, seconds: mostMs / 1000 })
    // The exit that follows starts the next one.
    this.#child.kill('SIGKILL')
    this.#lastWord = performance.now()
  }
}

function notUp(why: string): GracerError {
  return new GracerError(`the new version's agent did not come up: ${why}`, { code: 'agent-not-up', hint: 'gracer\'s own log says more.' })
}

/** Why an agent cannot work with this master; null: it can. Its first word must be `loaded`. */
function protocolTrouble(value: unknown): GracerError | null {
  const message = isMessage(value) ? (value as Partial<Extract<FromAgent, { type: 'loaded' }>>) : {}
  if (message.type === 'loaded' && message.protocol === protocolVersion) return null
  const speaks = message.type === 'loaded' ? `version ${String(message.protocol)}` : 'an unknown version'
  return new GracerError(`the agent on the disk speaks ${speaks} of gracer's own protocol and this master version ${protocolVersion}`, {
    code: 'protocol', hint: 'Start gracer again, so that its master is of the installed version as well; with a systemd socket nothing is refused meanwhile.',
  })
}
