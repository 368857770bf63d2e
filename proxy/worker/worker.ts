import type { Server } from 'node:http'
import { sendToParent } from '../channel.ts'
import type { Front } from '../forward/front.ts'
import type { FrontSettings } from '../front-settings.ts'
import type { Log } from '../log.ts'
import { protocolVersion, type DrainDeadlines, type DrainOrder, type FromWorker, type ToWorker } from '../messages.ts'
import { readTable } from '../table-file.ts'
import { servedBy, type ReleaseId } from '../table.ts'
import type { Drains } from './drains.ts'
import type { Evidence } from './evidence.ts'
import type { Ledger } from './ledger.ts'
import type { WaitingPicker } from './picker.ts'
import type { WorkerRoutes } from './routes.ts'
import type { UserNotes } from './user-notes.ts'

/** How often a changed ledger is sent without being asked for: what is lost of it when a worker is killed. */
const ledgerMs = 100
const aliveMs = 1_000
/** The drain of a worker that leaves: nobody waits for its word. */
const leavingOrder: DrainOrder = 'leaving'
/** At a shutdown an idle client connection gets this long to send what it was about to send. */
const shutdownIdleMs = 500
/** Closing what is left after every visit has ended or was cut. */
const lastWordsMs = 1_000
/** Of the event loop, for connections that wait to be accepted when the public socket is to be closed. */
const mostTurns = 100

/** Used by a worker whose master is gone: what it is told by then can no longer come. */
const orphanDeadlines: DrainDeadlines = Object.freeze({ timeoutMs: 30_000, streamsMs: 30_000, upgradedMs: 30_000, spreadMs: 5_000 })

export interface WorkerParts {
  readonly routes: WorkerRoutes
  readonly ledger: Ledger
  readonly picker: WaitingPicker
  readonly evidence: Evidence
  readonly users: UserNotes
  readonly drains: Drains
  readonly front: Front
  readonly tableFile: string
  /** How the public port is served from now on, as a table says. */
  readonly serve: (settings: FrontSettings) => void
  /** The keep-alive time of clients' connections. */
  readonly idleMs: () => number
  readonly log: Log
  /** Begin to accept: called once, after the first table. */
  readonly listen: () => void
  readonly exit: (code: number) => void
}

/** One worker: does what its channel says, and serves on with what it has when the channel is gone. */
export class Worker {
  readonly #parts: WorkerParts
  readonly #timers: NodeJS.Timeout[] = []
  #listening = false
  #leaving = false
  #idleGraceMs = Infinity
  #sentVersion = -1

  constructor(parts: WorkerParts) {
    this.#parts = parts
  }

  start(): void {
    say({ type: 'ready', protocol: protocolVersion })
    this.#timers.push(
      setInterval(() => this.#sendLedger(null), ledgerMs),
      setInterval(() => say({ type: 'alive' }), aliveMs),
    )
  }

  handle(message: ToWorker): void {
    switch (message.type) {
      case 'table':
      case 'prepare':
      case 'commit':
      case 'undo': {
        const applied = this.#parts.routes.apply(message)
        if (message.type === 'table' || message.type === 'commit') this.#tableChanged()
        if (applied.wake) this.#parts.picker.wake()
        for (const reply of applied.replies) {
          const longestParkMs = applied.service === null ? 0 : this.#parts.picker.takeLongestParkMs(applied.service)
          say(reply.type === 'prepared' ? reply : { ...reply, longestParkMs })
        }
        break
      }
      case 'drain':
        this.#parts.drains.start(message.release, message.order, message.deadlines)
        break
      case 'forget':
        this.#forget(message.release)
        break
      case 'report':
        this.#sendLedger(message.report)
        break
      case 'leave':
        this.leave(message.deadlines, message.idle === 'soon' ? shutdownIdleMs : Infinity)
        break
    }
  }

  /** The master has died: serve on, and decide what it had prepared by the table it may have written. */
  masterVanished(): void {
    const { routes, picker, log, tableFile } = this.#parts
    log.warn('worker.master-vanished')
    for (const timer of this.#timers.splice(0)) clearInterval(timer)
    routes.masterVanished(routes.anyPrepared ? readTable(tableFile) : null)
    this.#tableChanged()
    picker.wake()
    if (!this.#listening) this.#parts.exit(0)
  }

  /**
   * Stop accepting at once, finish what is under way, end. With a master that ends too, idle connections are closed
   * soon; where another master takes over, they keep their keep-alive time, so that no request on its way is reset.
   */
  leave(deadlines: DrainDeadlines = orphanDeadlines, idleGraceMs = Infinity): void {
    const { front, drains, ledger, picker } = this.#parts
    const drained = Math.max(deadlines.timeoutMs, deadlines.streamsMs, deadlines.upgradedMs + deadlines.spreadMs) + 2_000
    // Idle connections that keep their time are closed by it, and none with a request on its way by us.
    const latest = (idleGraceMs === Infinity ? Math.max(drained, this.#parts.idleMs()) : drained) + lastWordsMs
    this.#idleGraceMs = Math.min(this.#idleGraceMs, idleGraceMs)
    setTimeout(() => this.#end(), latest)
    if (idleGraceMs !== Infinity) picker.gracerEnds()
    // Told again, because gracer ends while this one was still leaving: only faster.
    if (this.#leaving) return
    this.#leaving = true
    whenQueueIsEmpty(front.server, () => {
      front.drain()
      for (const release of ledger.releases()) drains.start(release, leavingOrder, deadlines)
      let lastBusy = performance.now()
      const timer = setInterval(() => {
        // Requests may still come on connections that are open: each gets its reply with `Connection: close`.
        const busy = picker.waiting > 0 || ledger.releases().some((release) => ledger.inFlight(release) > 0)
        if (busy) lastBusy = performance.now()
        if (!busy && (front.connections() === 0 || performance.now() - lastBusy > this.#idleGraceMs)) {
          clearInterval(timer)
          this.#end()
        }
      }, 10)
    })
  }

  #end(): void {
    this.#parts.picker.refuseAll()
    this.#sendLedger(null)
    this.#parts.front.destroy()
    // The ledger is on its way; a closed channel lets it out before the end. A worker whose master is gone has none.
    if (process.connected === true) process.disconnect()
    this.#parts.exit(0)
  }

  /** A visit has ended and its release has none left. */
  idle(release: ReleaseId): void {
    this.#parts.drains.check(release)
  }

  /** A drain has ended here. */
  quiet(release: ReleaseId, order: DrainOrder): void {
    const { ledger, routes } = this.#parts
    if (!routes.mayPick(release)) ledger.setQuiet(release, true)
    this.#sendLedger(null)
    say({ type: 'quiet', release, order })
  }

  #forget(release: ReleaseId): void {
    const { routes, ledger, drains, front, users } = this.#parts
    // Restarted under its number meanwhile, or its last visit has not noticed yet: nothing is forgotten too early.
    if (routes.mayPick(release)) return
    const figures = ledger.forget(release)
    if (figures === null) return
    drains.cancel(release)
    front.revive(release)
    users.forget(release)
    say({ type: 'forgotten', figures })
  }

  #tableChanged(): void {
    const { routes, front, drains, ledger, evidence } = this.#parts
    if (routes.table.front !== undefined) this.#parts.serve(routes.table.front)
    const live = new Set(routes.table.routes.flatMap(servedBy))
    evidence.keep(new Set(routes.table.routes.flatMap((route) => route.canary?.target.release ?? [])))
    for (const release of live) {
      // A worker that leaves ends what it has in its time, whatever is live.
      if (!this.#leaving) drains.cancel(release)
      front.revive(release)
    }
    for (const release of ledger.releases()) {
      // Idle upstream sockets of a release that is not live are closed before its backend closes them.
      if (!live.has(release)) front.retire(release)
      if (routes.mayPick(release)) ledger.setQuiet(release, false)
    }
    // Before the first agent has named the services nobody can say which of them a request is for.
    if (this.#listening || this.#leaving || routes.table.routes.length === 0) return
    this.#listening = true
    this.#parts.listen()
  }

  #sendLedger(report: number | null): void {
    const { ledger, users } = this.#parts
    // Before the ledger: who asks for that is told of everybody.
    users.flush()
    if (report === null && ledger.version === this.#sentVersion) return
    this.#sentVersion = ledger.version
    say({ type: 'ledger', report, ledger: ledger.snapshot() })
  }
}

/**
 * Connections in the kernel's queue are reset when the last copy of the socket is closed. So it is closed after a turn
 * of the event loop that has polled it and found none, which leaves microseconds; on a server that is never without
 * new ones, after some turns all the same.
 */
function whenQueueIsEmpty(server: Server, then: () => void): void {
  let arrived = true
  let turns = 0
  const note = (): void => {
    arrived = true
  }
  server.on('connection', note)
  const look = (): void => {
    turns += 1
    if (arrived && turns < mostTurns) {
      arrived = false
      setImmediate(look)
      return
    }
    server.off('connection', note)
    then()
  }
  setImmediate(look)
}

export function say(message: FromWorker): void {
  sendToParent(message)
}
