import type { CycleState, Phase } from './cycle.ts'
import type { LiveState } from './live-stream.ts'

/** By which pages know whether they are of the code that answers now: a key that is another after each reload. */
export class PageKeys {
  readonly #run = Date.now().toString(36)
  readonly #keepOld: boolean
  #styles = 0
  /** Of the last code that answered. */
  #settled = ''
  #stylesFrom: string | null = null

  constructor(keepOld: boolean) {
    this.#keepOld = keepOld
  }

  of(app: string): string {
    return `${this.#run}.${app}.${this.#styles}`
  }

  /** The key of the page that a request would get now. `round`: the number of the save that failed, if it has. */
  now({ phase, live }: CycleState, round: number): string {
    if (phase.kind === 'failed' && !(this.#keepOld && live !== null)) return `${this.#run}.failed.${round}`
    return this.of(live ?? 'none')
  }

  /** New code answers, or new stylesheets; where nothing but those has changed a page of before need not be loaded again. */
  answered(outcome: 'live' | 'styles' | 'failed', onlyStyles: boolean): void {
    if (outcome === 'styles') this.#styles += 1
    this.#stylesFrom = outcome !== 'failed' && onlyStyles ? this.#settled : null
  }

  /** What pages are told. */
  told(state: CycleState, round: number): LiveState {
    const told = { key: this.now(state, round), busy: busyText(state.phase), stylesFrom: this.#stylesFrom }
    if (told.busy === null) this.#settled = told.key
    return told
  }
}

function busyText({ kind }: Phase): string | null {
  switch (kind) {
    case 'building':
      return 'building …'
    case 'booting':
    case 'clearing':
      return 'booting …'
    case 'settling':
    case 'checking-styles':
      return 'saved …'
    case 'ending':
      return 'gracer dev is ending'
    case 'idle':
    case 'failed':
      return null
  }
}
