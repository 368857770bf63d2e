import { isMessage, sendToParent } from '../proxy/channel.ts'
import type { ServiceFigures } from '../proxy/figures.ts'
import type { FrontSettings } from '../proxy/front-settings.ts'
import type { DrainDeadlines, DrainOrder, FromAgent, MasterFacts, SpawnOrder, ToAgent } from '../proxy/messages.ts'
import { withServices, type ProposedRoute, type ReleaseId, type ServicePlace, type Table } from '../proxy/table.ts'

export type Hello = Extract<ToAgent, { type: 'hello' }>

export interface RouteAnswer {
  committed(number: number): void
  refused(message: string): void
  /** All workers have let their parked requests go. */
  done(longestParkMs: number): void
}

export interface Figures extends MasterFacts {
  readonly services: readonly ServiceFigures[]
  readonly workers: readonly number[]
}

/** A master that does not answer a report by then is too busy to be asked: the caller goes on without. */
const reportMs = 2_000

type Change = { readonly route: ProposedRoute; readonly safe: ProposedRoute | null } | { readonly places: readonly ServicePlace[]; readonly front: FrontSettings }

/** The agent's end of its channel to the master. Changes of the table are sent one at a time, whatever the service. */
export class MasterLink {
  readonly hello: Hello
  /** The table as it was when the services were named last: what a service that begins now finds. */
  table: Table
  readonly #routes = new Map<number, RouteAnswer>()
  #queue: { readonly change: Change; readonly answer: RouteAnswer }[] = []
  readonly #reports = new Map<number, (figures: Figures | null) => void>()
  #next = 1
  #changing = false

  constructor(hello: Hello) {
    this.hello = hello
    this.table = hello.table
  }

  /** What the master says that is not an answer; what it said since its first word comes first. */
  listen(listener: (message: ToAgent) => void): void {
    const hear = (value: unknown): void => {
      if (!isMessage(value)) return
      const message = value as ToAgent
      if (!this.#answered(message)) listener(message)
    }
    const early = earlyWords.splice(0)
    process.off('message', keepEarly)
    process.on('message', hear)
    process.nextTick(() => early.forEach(hear))
  }

  say(message: FromAgent): void {
    sendToParent(message)
  }

  /** `safe`: what the master puts in its place should this agent die, or ask for it. */
  route(route: ProposedRoute, safe: ProposedRoute | null, answer: RouteAnswer): void {
    this.#queue.push({ change: { route, safe }, answer })
    this.#nextRoute()
  }

  /** Names the services that there are, all of them, and how the public port is served; resolves when all workers know. Rejects where the master refuses. */
  services(places: readonly ServicePlace[], front: FrontSettings): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#queue.push({
        change: { places, front },
        answer: {
          committed: () => {
            this.table = withServices(this.table, this.hello.epoch, places, front)
          },
          refused: (message) => reject(new Error(message)),
          done: () => resolve(),
        },
      })
      this.#nextRoute()
    })
  }

  /** What waits to be sent for a service that is no more is not sent. */
  forget(service: string): void {
    this.#queue = this.#queue.filter(({ change }) => !('route' in change) || change.route.service !== service)
  }

  /** Goes before whatever waits here for the service, which is told that it was refused. */
  goSafe(service: string): void {
    this.say({ type: 'go-safe', epoch: this.hello.epoch, service })
    const overtaken = this.#queue.filter(({ change }) => 'route' in change && change.route.service === service && change.safe !== null)
    this.#queue = this.#queue.filter((one) => !overtaken.includes(one))
    queueMicrotask(() => { for (const { answer } of overtaken) answer.refused('the canary is being taken back') })
  }

  spawn(order: SpawnOrder): void {
    this.say({ type: 'spawn', epoch: this.hello.epoch, order })
  }

  signal(release: ReleaseId, signal: 'SIGTERM' | 'SIGKILL'): void {
    this.say({ type: 'signal', epoch: this.hello.epoch, release, signal })
  }

  /** Returns the order's name, which the master's `quiet` carries. */
  drain(release: ReleaseId, deadlines: DrainDeadlines): DrainOrder {
    const { epoch } = this.hello
    const order = `${epoch}.${this.#next}`
    this.#next += 1
    this.say({ type: 'drain', epoch, release, order, deadlines })
    return order
  }

  /** What all workers have counted, as of now; null where the master does not answer. */
  figures(): Promise<Figures | null> {
    const request = this.#next
    this.#next += 1
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#reports.get(request)?.(null), reportMs)
      this.#reports.set(request, (figures) => {
        clearTimeout(timer)
        this.#reports.delete(request)
        resolve(figures)
      })
      this.say({ type: 'report', request })
    })
  }

  #nextRoute(): void {
    const next = this.#changing ? undefined : this.#queue.shift()
    if (next === undefined) return
    this.#changing = true
    const request = this.#next
    this.#next += 1
    this.#routes.set(request, next.answer)
    const { epoch } = this.hello
    if ('places' in next.change) this.say({ type: 'services', epoch, request, places: next.change.places, front: next.change.front })
    else this.say({ type: 'route', epoch, request, route: next.change.route, safe: next.change.safe })
  }

  #answered(message: ToAgent): boolean {
    switch (message.type) {
      case 'committed':
        this.#routes.get(message.request)?.committed(message.number)
        return true
      case 'refused':
      case 'flip-done': {
        const answer = this.#routes.get(message.request)
        this.#routes.delete(message.request)
        this.#changing = false
        if (message.type === 'refused') answer?.refused(message.message)
        else answer?.done(message.longestParkMs)
        this.#nextRoute()
        return true
      }
      case 'figures':
        this.#reports.get(message.request)?.({ services: message.figures, workers: message.workers, startedAt: message.startedAt, restarts: message.restarts })
        return true
      default:
        return false
    }
  }
}

/** What the master has said between its first word and the agent's first look at what follows. */
const earlyWords: unknown[] = []

function keepEarly(value: unknown): void {
  earlyWords.push(value)
}

/** Waits for the master's first word; the message is not lost, however early it comes. */
export function awaitHello(): Promise<Hello> {
  return new Promise((resolve) => {
    const listener = (value: unknown): void => {
      if (!isMessage(value) || value.type !== 'hello') return
      // Node hands over all that has arrived in one go: what follows would meet nobody.
      process.on('message', keepEarly)
      process.off('message', listener)
      resolve(value as unknown as Hello)
    }
    process.on('message', listener)
  })
}
