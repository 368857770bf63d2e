import type { Table } from '../../proxy/table.ts'
import type { SimRequest } from './sim-request.ts'
import type { SimWorker } from './sim-worker.ts'
import { Violation } from './violation.ts'
import type { World } from './world.ts'

/** Watches that visitors of a canary are never sent back but by its end, and that a bad one is never promoted. */
export class Canaries {
  readonly #world: World
  /** Rises whenever visitors may go back: the share is lowered, the canary is gone, or nobody is sure. */
  readonly #downs = new Map<string, number>()
  /** By service and number of the table: `downs` when it was written. */
  readonly #downsOf = new Map<string, number>()
  /** By service, release and visitor: `downs` when a full reply of the canary was given. */
  readonly #seen = new Map<string, number>()
  /** Promoted by a person, whatever the verdict. */
  readonly #byHand = new Set<string>()
  /** Judged as canaries. */
  readonly #judged = new Set<string>()

  constructor(world: World) {
    this.#world = world
  }

  downs(service: string): number {
    return this.#downs.get(service) ?? 0
  }

  /** Workers without a master drop their canaries by themselves; a new master begins without. */
  masterGone(): void {
    for (const service of this.#world.plan.services) this.#down(service)
  }

  tableWritten(before: Table, after: Table): void {
    for (const route of after.routes) {
      const was = before.routes.find((one) => one.service === route.service)?.canary ?? null
      const now = route.canary ?? null
      if (now !== null) this.#judged.add(now.target.release)
      if (was === null) continue
      const flippedToIt = route.live?.release === was.target.release
      if (!flippedToIt && (now === null || now.salt !== was.salt || now.share < was.share)) this.#down(route.service)
    }
    for (const { service } of after.routes) this.#downsOf.set(`${service} ${after.number}`, this.downs(service))
  }

  /** `downs` as a worker knows it that goes by this table. */
  downsOf(service: string, number: number): number {
    return this.#downsOf.get(`${service} ${number}`) ?? 0
  }

  /** A visitor who has seen the canary is sent to it, or to what it has become, for as long as nothing was taken back. */
  picked(request: SimRequest, worker: SimWorker): void {
    if (request.assigned !== null) this.#world.counts.canaryPicks += request.assigned.arm === 'canary' ? 1 : 0
    if (request.release === null || worker.orphan || request.failed !== null) return
    const assigned = request.assigned
    const canary = assigned?.canary.target.release ?? request.release
    const seen = this.#seen.get(`${request.service} ${canary} ${request.user}`)
    if (seen === undefined || seen !== request.downsAtBegin || seen !== this.downs(request.service)) return
    if (request.release !== canary) throw new Violation('C1 one way', `request ${request.id} of ${request.user} was picked for ${request.release}, after a full reply of ${canary} to that visitor`)
  }

  replied(request: SimRequest): void {
    const { assigned, release } = request
    if (assigned === null || release !== assigned.canary.target.release) return
    this.#world.counts.canaryReplies += 1
    // By a table that has been taken back meanwhile it says nothing.
    if (request.downsAtPick === this.downs(request.service)) this.#seen.set(`${request.service} ${release} ${request.user}`, request.downsAtPick)
  }

  promoted(service: string, release: string): void {
    this.#byHand.add(`${service}/${release}`)
  }

  wentLive(service: string, id: string): void {
    const key = `${service}/${id}`
    if (this.#judged.has(key)) this.#world.counts.canaryFlips += 1
    if (!this.#judged.has(key) || this.#byHand.has(key) || this.#world.buildOf(service, id).verdict !== 'bad') return
    throw new Violation('C2 verdict', `${key} was judged to be bad as a canary, and went live`)
  }

  /** The first table of a new master, and what is left when all has come to rest. */
  none(table: Table, when: string): void {
    for (const { service, canary } of table.routes) {
      if (canary !== null && canary !== undefined) throw new Violation('C3 judged', `${canary.target.release} is still a canary of ${service} ${when}`)
    }
  }

  #down(service: string): void {
    this.#downs.set(service, this.downs(service) + 1)
  }
}
