import { addFigures, addWaits, countFlipViolations, noFigures, noWaits, type FlipTimes, type ReleaseFigures, type ServiceFigures, type WaitFigures, type WorkerLedger } from '../figures.ts'
import type { ReleaseId, ServiceName } from '../table.ts'

/** What was in flight on a worker that died is lost (its clients were cut off), and counted here from its last ledger. */
function asGone(ledger: WorkerLedger): WorkerLedger {
  return {
    ...ledger,
    parked: 0,
    held: 0,
    waits: ledger.waits.map((one) => ({ ...one, parked: 0, held: 0 })),
    releases: ledger.releases.map((one) => ({ ...one, lost: one.lost + one.inFlight, inFlight: 0, streams: 0, upgraded: 0 })),
  }
}

/** Of releases that are gone the newest keep figures of their own; older ones are added into one entry a service. */
const goneKept = 50
export const earlier = 'earlier'

/** Adds up the workers' ledgers, those of workers that are gone included. */
export class FiguresSum {
  readonly #ledgers = new Map<number, WorkerLedger>()
  readonly #gone = new Map<ReleaseId, ReleaseFigures>()
  #goneViolations = 0
  #goneFlips: FlipTimes[] = []
  readonly #goneWaits = new Map<ServiceName, WaitFigures>()

  set(worker: number, ledger: WorkerLedger): void {
    this.#ledgers.set(worker, ledger)
  }

  /** A worker has handed over what it had counted of a release that has ended. */
  forgotten(worker: number, figures: ReleaseFigures): void {
    const last = this.#ledgers.get(worker)
    if (last !== undefined) this.#ledgers.set(worker, { ...last, releases: last.releases.filter((one) => one.release !== figures.release) })
    this.#add(this.#gone, figures)
    for (const [release, one] of this.#gone) {
      if (this.#gone.size <= goneKept) break
      if (release === earlier) continue
      this.#gone.delete(release)
      this.#add(this.#gone, { ...one, release: earlier })
    }
  }

  workerGone(worker: number): void {
    const last = this.#ledgers.get(worker)
    if (last === undefined) return
    this.#ledgers.delete(worker)
    const gone = asGone(last)
    this.#goneViolations += gone.violations
    this.#goneFlips = [...this.#goneFlips, ...gone.flips].slice(-64)
    for (const one of gone.releases) this.#add(this.#gone, one)
    for (const one of gone.waits) addTo(this.#goneWaits, one)
  }

  /** `extraViolations`: those that the master itself has seen. */
  sum(services: readonly ServiceName[], extraViolations: number): ServiceFigures[] {
    const releases = new Map<ReleaseId, ReleaseFigures>()
    for (const one of this.#gone.values()) this.#add(releases, one)
    let violations = this.#goneViolations + extraViolations
    let parked = 0
    let held = 0
    const flips = [...this.#goneFlips]
    const waits = new Map<ServiceName, WaitFigures>()
    for (const one of this.#goneWaits.values()) addTo(waits, one)
    for (const ledger of this.#ledgers.values()) {
      for (const one of ledger.releases) this.#add(releases, one)
      violations += ledger.violations
      parked += ledger.parked
      held += ledger.held
      flips.push(...ledger.flips)
      for (const one of ledger.waits) addTo(waits, one)
    }
    violations += countFlipViolations(flips)
    const names = new Set([...services, ...[...releases.values()].map((one) => one.service), ...waits.keys()])
    return [...names].map((service) => {
      const own = [...releases.values()].filter((one) => one.service === service)
      return { service, releases: own, violations, parked, held, waits: waits.get(service) ?? noWaits(service), lost: own.reduce((total, one) => total + one.lost, 0) }
    })
  }

  #add(sums: Map<ReleaseId, ReleaseFigures>, more: ReleaseFigures): void {
    let sum = sums.get(more.release)
    if (sum === undefined) {
      sum = noFigures(more.service, more.release)
      sums.set(more.release, sum)
    }
    addFigures(sum, more)
  }
}

function addTo(sums: Map<ServiceName, WaitFigures>, more: WaitFigures): void {
  let sum = sums.get(more.service)
  if (sum === undefined) {
    sum = noWaits(more.service)
    sums.set(more.service, sum)
  }
  addWaits(sum, more)
}
