import { GracerError } from '../../inherit/gracer-error.ts'
import type { ControlEvent } from '../control/handlers.ts'
import type { Outcome, Phase, Progress, Until } from '../control/shapes.ts'
import { outcomeAfterRestart } from './after-agent.ts'
import { servicePath } from './context.ts'
import type { Context } from './context.ts'
import { displayOn, stderrScreen } from './display.ts'
import { say, writeJson, writeText } from './output.ts'
import { outcomeText } from './render-swap.ts'
import { releaseLabel } from './text.ts'

/** A swap, rollback or restart, and how long the command waits for it. */
export interface Order {
  readonly order: 'swap' | 'rollback' | 'restart'
  readonly body: unknown
  readonly until: Until
  /** False: the command ends once the order is accepted. */
  readonly wait: boolean
}

const reached: Readonly<Record<Until, readonly Phase[]>> = {
  // 'stopping' and 'stopped' are not here: of the release that was asked for, they are the end of one that failed.
  flip: ['flipped', 'draining', 'drained', 'confirmed'],
  drained: ['drained', 'confirmed'],
  confirmed: [],
}

type Ending =
  | { readonly kind: 'outcome'; readonly outcome: Outcome }
  /** The phase that was waited for is reached; the order goes on without us. */
  | { readonly kind: 'left'; readonly progress: Progress }
  | { readonly kind: 'interrupted'; readonly outcome: Outcome | null; readonly text: string }

/**
 * Gives the order, shows its phases on stderr and its end: on stdout where it is good, on stderr where it is not.
 * Ctrl-C undoes a swap before its flip and lets it go on alone after it; a second one leaves at once. Exit 130 for both.
 */
export async function runOrder(context: Context, order: Order): Promise<number> {
  const display = displayOn(stderrScreen(), context.err)
  const ending = await follow(context, order, display).finally(() => display.end())
  if (ending.kind === 'outcome') return await tellOutcome(context, ending.outcome)
  if (ending.kind === 'left') {
    say(leftText(ending.progress))
    if (context.options.json) await writeJson(ending.progress)
    return 0
  }
  if (ending.outcome !== null) await tellOutcome(context, { ...ending.outcome, exitCode: 130 })
  say(ending.text)
  return 130
}

function leftText({ release, name, phase }: Progress): string {
  const label = releaseLabel(release, name)
  const live = reached.flip.includes(phase) ? `${label} is live now, ${phase}` : `${label} is not live yet, ${phase}`
  return `${live}; "gracer status" shows how it goes on`
}

async function tellOutcome(context: Context, outcome: Outcome): Promise<number> {
  if (context.options.json) await writeJson(outcome)
  else if (outcome.exitCode === 0) await writeText(outcomeText(outcome, context.out))
  else say(outcomeText(outcome, context.err))
  return outcome.exitCode
}

interface Watch {
  phase(progress: Progress): void
  note(text: string): void
}

async function follow(context: Context, order: Order, display: Watch): Promise<Ending> {
  const interrupt = new Interrupt(context, display)
  try {
    return await Promise.race([read(context, order, display, interrupt), interrupt.ended])
  } finally {
    interrupt.stop()
  }
}

async function read(context: Context, order: Order, display: Watch, interrupt: Interrupt): Promise<Ending> {
  const orderedAt = Date.now()
  const events = context.client.stream<ControlEvent>('POST', servicePath(context.service, order.order), order.body, interrupt.signal)
  try {
    for await (const event of events) {
      if (event.kind === 'outcome') return interrupt.pressed ? interrupt.undone(event) : { kind: 'outcome', outcome: event }
      display.phase(event)
      interrupt.saw(event)
      if (interrupt.pressed) continue
      if (!order.wait || reached[order.until].includes(event.phase)) return { kind: 'left', progress: event }
    }
  } catch (error) {
    if (!(error instanceof GracerError) || error.code !== 'agent-gone' || interrupt.signal.aborted) throw error
  }
  display.note('the agent went away; waiting for what its successor makes of it')
  const found = await outcomeAfterRestart(context, interrupt.lastSeen, orderedAt)
  // Rolled back is what a rollback asks for, and what spoils everything else.
  const outcome = found.outcome === 'rolled-back' && order.order === 'rollback' ? { ...found, exitCode: 0 } : found
  return interrupt.pressed ? interrupt.undone(outcome) : { kind: 'outcome', outcome }
}

/** Ctrl-C during an order. */
class Interrupt {
  readonly ended: Promise<Ending>
  pressed = false
  #seen: Progress | null = null
  #flipped = false
  #asked = false
  readonly #context: Context
  readonly #display: Watch
  readonly #abort = new AbortController()
  #resolve: (ending: Ending) => void = () => {}
  #reject: (error: unknown) => void = () => {}

  constructor(context: Context, display: Watch) {
    this.#context = context
    this.#display = display
    this.ended = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    process.on('SIGINT', this.#onSignal)
  }

  get signal(): AbortSignal {
    return this.#abort.signal
  }

  get lastSeen(): Progress | null {
    return this.#seen
  }

  saw(progress: Progress): void {
    this.#seen = progress
    if (reached.flip.includes(progress.phase) || progress.phase === 'flipping-back') this.#flipped = true
    if (this.pressed) this.#undo()
  }

  undone(outcome: Outcome): Ending {
    return { kind: 'interrupted', outcome, text: `interrupted: the ${outcome.outcome === 'aborted' ? 'swap is undone' : `swap had ended already (${outcome.outcome})`}` }
  }

  stop(): void {
    process.off('SIGINT', this.#onSignal)
    this.#abort.abort()
  }

  readonly #onSignal = (): void => {
    if (this.pressed) process.exit(130)
    this.pressed = true
    this.#undo()
  }

  #undo(): void {
    if (this.#flipped) return this.#detach()
    const seen = this.#seen
    // Not even accepted yet, as far as we know: the release has no number to name it by until its first phase.
    if (seen === null || this.#asked) return
    this.#asked = true
    this.#display.note(`interrupted: undoing ${releaseLabel(seen.release, seen.name)} before its flip (Ctrl-C again leaves at once)`)
    const path = servicePath(this.#context.service, `swap/${encodeURIComponent(seen.release)}`)
    this.#context.client.request<Outcome>('DELETE', path).then(
      (outcome) => this.#resolve(this.undone(outcome)),
      (error: unknown) => {
        // Refused: it was too late. The stream tells of the flip, or has told already.
        if (error instanceof GracerError && error.exitCode !== 3) this.#detach()
        else this.#reject(error)
      },
    )
  }

  #detach(): void {
    const label = this.#seen === null ? 'the release' : releaseLabel(this.#seen.release, this.#seen.name)
    this.#resolve({ kind: 'interrupted', outcome: null, text: `detached: ${label} has flipped and goes on without this command; "gracer status" shows it, "gracer rollback" takes it back` })
  }
}
