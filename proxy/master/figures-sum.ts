import { addFigures, addWaits, flipViolations, noFigures, noWaits, type FlipTimes, type ReleaseFigures, type ServiceFigures, type WaitFigures, type WorkerLedger } from '../figures.ts'
import { releaseKey, type ReleaseId } from '../release-key.ts'
import type { ServiceName } from '../table.ts'

/** What was in flight on a worker that died is lost (its clients were cut off), and counted here from its last ledger. */
function asGone(ledger: WorkerLedger): WorkerLedger {
  return {
    ...ledger,
    waits: ledger.waits.map((one) => ({ ...one, parked: 0, held: 0 })),
    releases: ledger.releases.map((one) => ({ ...one, lost: one.lost + one.inFlight, inFlight: 0, streams: 0, upgraded: 0 })),
  }
}

/** Of a service's releases that are gone the newest keep figures of their own; older ones are added into one entry. */
const goneKept = 50
/** The number of that entry. */
export const earlier = 'earlier'
/** Flip times that workers which are gone had noted; of each service so many. */
const goneFlipsKept = 64

/** Sums of one service: of those that are gone, or of everybody. */
interface Sums {
  readonly releases: Map<ReleaseId, ReleaseFigures>
  readonly waits: WaitFigures
  flips: FlipTimes[]
}

/** Adds up the workers' ledgers, those of workers that are gone included. Nothing of one service is counted in another. */
export class FiguresSum {
  readonly #ledgers = new Map<number, WorkerLedger>()
  readonly #gone = new Map<ServiceName, Sums>()
  /** Seen once, a violation stays: the times that showed it are kept only for a while. */
  readonly #flipViolations = new Map<ServiceName, Set<string>>()

  set(worker: number, ledger: WorkerLedger): void {
    this.#ledgers.set(worker, ledger)
  }

  /** A worker has handed over what it had counted of a release that has ended. */
  forgotten(worker: number, figures: ReleaseFigures): void {
    const last = this.#ledgers.get(worker)
    if (last !== undefined) this.#ledgers.set(worker, { ...last, releases: last.releases.filter((one) => one.release !== figures.release) })
    const { releases } = sumsOf(this.#gone, figures.service)
    addTo(releases, figures)
    const rest = releaseKey(figures.service, earlier)
    for (const [release, one] of releases) {
      if (releases.size <= goneKept) break
      if (release === rest) continue
      releases.delete(release)
      addTo(releases, { ...one, release: rest })
    }
  }

  workerGone(worker: number): void {
    const last = this.#ledgers.get(worker)
    if (last === undefined) return
    this.#ledgers.delete(worker)
    addLedger(this.#gone, asGone(last))
    for (const sums of this.#gone.values()) sums.flips = sums.flips.slice(-goneFlipsKept)
  }

  /** Each service of which anything was ever counted. */
  sum(): ServiceFigures[] {
    const sums = new Map<ServiceName, Sums>()
    for (const [service, gone] of this.#gone) {
      const sum = sumsOf(sums, service)
      for (const one of gone.releases.values()) addTo(sum.releases, one)
      addWaits(sum.waits, gone.waits)
      sum.flips.push(...gone.flips)
    }
    for (const ledger of this.#ledgers.values()) addLedger(sums, ledger)
    return [...sums].map(([service, { releases, waits, flips }]) => {
      const own = [...releases.values()]
      return { service, releases: own, violations: waits.violations + this.#violated(service, flips), waits, lost: own.reduce((total, one) => total + one.lost, 0) }
    })
  }

  #violated(service: ServiceName, flips: readonly FlipTimes[]): number {
    const found = flipViolations(flips)
    const seen = this.#flipViolations.get(service) ?? new Set<string>()
    if (found.length > 0) this.#flipViolations.set(service, seen)
    for (const flip of found) seen.add(flip)
    return seen.size
  }
}

function addLedger(sums: Map<ServiceName, Sums>, ledger: WorkerLedger): void {
  for (const one of ledger.releases) addTo(sumsOf(sums, one.service).releases, one)
  for (const one of ledger.waits) addWaits(sumsOf(sums, one.service).waits, one)
  for (const one of ledger.flips) sumsOf(sums, one.service).flips.push(one)
}

function sumsOf(sums: Map<ServiceName, Sums>, service: ServiceName): Sums {
  let found = sums.get(service)
  if (found === undefined) sums.set(service, (found = { releases: new Map(), waits: noWaits(service), flips: [] }))
  return found
}

function addTo(sums: Map<ReleaseId, ReleaseFigures>, more: ReleaseFigures): void {
  let sum = sums.get(more.release)
  if (sum === undefined) sums.set(more.release, (sum = noFigures(more.service, more.release)))
  addFigures(sum, more)
}
