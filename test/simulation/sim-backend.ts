import { SimProcess } from './process.ts'
import type { Build } from './plan.ts'
import type { SimRequest } from './sim-request.ts'
import type { World } from './world.ts'

/** How long after SIGTERM a build ends; one that ignores it needs SIGKILL. */
const termMs = { quick: 5, slow: 120, ignored: Infinity } as const
/** A build that becomes healthy only after the check has given up. */
const lateMs = 60_000

/** A process of a release. */
export class SimBackend extends SimProcess {
  readonly service: string
  /** As in the journal: unique within the service. */
  readonly id: string
  readonly pid: number
  readonly port: number
  readonly build: Build
  readonly #world: World
  readonly #healthyFrom: number
  #sickFrom = Infinity
  /** It has been told to end, and accepts no more. */
  ending = false
  /** It has passed a check in this life. */
  passed = false
  readonly inFlight = new Set<SimRequest>()

  constructor(world: World, service: string, id: string, build: Build, boots: number) {
    const number = world.nextNumber()
    super(`${service}.${id}#${number}`)
    this.#world = world
    this.service = service
    this.id = id
    this.pid = 1_000 + number
    this.port = 40_000 + number
    this.build = build
    this.#healthyFrom = build.health === 'never' ? Infinity : world.clock.now + build.bootMs + (build.health === 'late' ? lateMs : 0)
    if (build.crash !== null && boots <= build.crash.times) {
      world.clock.after(build.crash.afterMs, this, () => {
        world.note(`${this.name} crashes`)
        this.end('it crashed')
      })
    }
  }

  get accepts(): boolean {
    return this.alive && !this.ending
  }

  isHealthy(): boolean {
    const { now } = this.#world.clock
    return this.accepts && now >= this.#healthyFrom && now < this.#sickFrom
  }

  /** When its probes begin to fail; Infinity: never. */
  get sickFrom(): number {
    return this.#sickFrom
  }

  hasPassed(): void {
    if (this.passed) return
    this.passed = true
    if (this.build.sickAfterMs !== null) this.#sickFrom = this.#world.clock.now + this.build.sickAfterMs
  }

  signal(signal: 'SIGTERM' | 'SIGKILL'): void {
    if (!this.alive) return
    if (signal === 'SIGKILL') return this.end('SIGKILL')
    if (this.ending) return
    this.ending = true
    const ms = termMs[this.build.term]
    if (ms !== Infinity) this.#world.clock.after(ms * this.#world.random.between(0.2, 1.5), this, () => this.end('SIGTERM'))
  }

  /** The process is gone; what it had not answered is lost. */
  end(why: string): void {
    if (!this.alive) return
    this.die()
    for (const request of this.inFlight) request.lost(`${this.name} ended: ${why}`)
    this.inFlight.clear()
  }
}
