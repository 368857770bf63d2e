import { spawn } from 'node:child_process'
import type { ReadStream } from 'node:tty'
import { palette, type Palette } from '../cli/color.ts'
import { printable } from '../cli/text.ts'
import { say } from '../cli/output.ts'
import { passOn } from './app-output.ts'
import type { Dev } from './dev.ts'
import type { DevFailure } from './failure.ts'
import { keyHelp, Keys, type Key } from './keys.ts'
import type { DevOptions } from './options.ts'
import type { DevPlan } from './plan.ts'
import { failureLines, reloadLine, type Reload } from './report.ts'
import type { DevVoice } from './voice.ts'

/** A build or boot that takes longer than this is worth a word; and again when that has passed once more. */
const longMs = 10_000

/** Lines for a person on stderr, the app's output as it comes; with --json records on stdout instead, and the output on stderr. */
export class Terminal implements DevVoice {
  readonly #options: DevOptions
  readonly #colors: Palette
  readonly #input: ReadStream | null
  #keys: Keys | null = null
  #dev: Dev | null = null
  #quit: () => void = () => {}
  #phaseTimer: NodeJS.Timeout | null = null

  constructor(options: DevOptions) {
    this.#options = options
    this.#colors = palette(options.color, process.stderr)
    this.#input = !options.json && process.stdin.isTTY && process.stderr.isTTY ? process.stdin : null
  }

  listening(url: string, plan: DevPlan): void {
    if (this.#options.json) {
      this.#record({ event: 'listening', url, pid: process.pid, service: plan.service.name, others: plan.others, command: plan.shown })
      return
    }
    this.#line(`${this.#colors.strong(url)}  ${plan.shown}${plan.from === null ? '' : this.#colors.dim(`  (${plan.from})`)}`)
    if (plan.others.length > 0) this.#line(`service "${plan.service.name}", at every host and path; gracer.json has more: gracer dev --service ${plan.others.join(' or ')} (with a --listen of its own)`)
    if (plan.inspect !== null) this.#line(`debugger: ${plan.inspect.host}:${plan.inspect.port}, whichever code serves`)
    if (this.#input !== null) this.#line(this.#colors.dim(keyHelp))
  }

  phase(what: string): void {
    if (this.#options.json) this.#record({ event: what })
    if (this.#phaseTimer !== null) clearInterval(this.#phaseTimer)
    const begun = performance.now()
    this.#phaseTimer = setInterval(() => {
      this.notice(`still ${what} after ${Math.round((performance.now() - begun) / 1000)} s; requests wait`)
    }, longMs)
    this.#phaseTimer.unref()
  }

  output(stream: 'stdout' | 'stderr', chunk: Buffer): void {
    passOn(stream, chunk, this.#options.json)
  }

  reload(reload: Reload): void {
    this.#endPhase()
    if (this.#options.json) this.#record({ event: reload.outcome === 'failed' ? 'failed' : 'reload', ...reload })
    else this.#line(reloadLine(reload, this.#colors))
  }

  failure(failure: DevFailure): void {
    this.#endPhase()
    if (this.#options.json) {
      if (failure.stage === 'crash') this.#record({ event: 'crashed', failure })
      return
    }
    for (const line of failureLines(failure, this.#options.keepOld && failure.stage !== 'crash' ? 'old code' : 'page', this.#colors)) this.#line(line)
  }

  notice(text: string): void {
    if (this.#options.json) this.#record({ event: 'notice', text })
    else this.#line(this.#colors.warn(printable(text)))
  }

  /** Takes the keys, where there is a terminal to take them from. */
  attach(dev: Dev, quit: () => void): void {
    this.#dev = dev
    this.#quit = quit
    if (this.#input === null) return
    this.#keys = new Keys(this.#input, (key) => this.#press(key))
    this.#keys.start()
    process.on('SIGCONT', () => this.#keys?.resume())
  }

  /** Gives the terminal back as it was. Synchronous, for every way out. */
  restore(): void {
    this.#endPhase()
    this.#keys?.restore()
  }

  #press(key: Key): void {
    switch (key) {
      case 'reload':
        this.#dev?.reload()
        break
      case 'open':
        this.#open()
        break
      case 'clear':
        process.stderr.write('\u001b[2J\u001b[3J\u001b[H')
        break
      case 'log': {
        const lines = this.#dev?.lastLines() ?? []
        if (lines.length === 0) this.#line('the newest app has printed nothing')
        for (const line of lines) say(line)
        break
      }
      case 'quit':
        this.#quit()
        break
      case 'help':
        this.#line(keyHelp)
        break
      case 'suspend':
        this.#keys?.restore()
        process.kill(process.pid, 'SIGTSTP')
        break
    }
  }

  #open(): void {
    const url = this.#dev?.url ?? ''
    const command = process.platform === 'darwin' ? 'open' : 'xdg-open'
    const child = spawn(command, [url], { stdio: 'ignore', detached: true })
    child.on('error', () => this.#line(`no browser could be started with ${command}; open ${url}`))
    child.unref()
  }

  #endPhase(): void {
    if (this.#phaseTimer !== null) clearInterval(this.#phaseTimer)
    this.#phaseTimer = null
  }

  #line(text: string): void {
    say(`${this.#colors.dim('gracer')} ${text}`)
  }

  #record(values: Record<string, unknown>): void {
    process.stdout.write(`${JSON.stringify({ schema: 1, ...values })}\n`)
  }
}
