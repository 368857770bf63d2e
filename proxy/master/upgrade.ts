import { GracerError } from '../../inherit/gracer-error.ts'
import type { Log } from '../log.ts'
import type { DrainDeadlines, UpgradeReport } from '../messages.ts'
import type { Candidate } from './agent-process.ts'
import type { WorkerId } from './committer.ts'
import { masterCode, readInstallation, type Installation } from './installation.ts'

/** What the new version's processes may take to come up, each; milliseconds. */
const workersMs = 20_000
const agentLoadMs = 20_000
const agentReadyMs = 30_000

/** What an upgrade does with the master's other parts. */
export interface UpgradeParts {
  readonly log: Log
  /** The report has changed: tell the agent. */
  readonly tell: (report: UpgradeReport) => void
  readonly workers: {
    ids(): WorkerId[]
    pids(): number[]
    /** Starts a full set beside those that run; resolves when all of them listen, rejects with the reason. */
    bringUp(entry: string, deadlineMs: number): Promise<WorkerId[]>
    /** Workers that are started from now on, after a crash as well, are of this program. */
    use(entry: string): void
    /** These finish what they have and leave; none is started in their place. */
    retire(ids: readonly WorkerId[], deadlines: DrainDeadlines): void
  }
  readonly agent: {
    readonly pid: number | null
    /** Starts one that loads everything and then waits to be given its turn; rejects with the reason. */
    candidate(entry: string, deadlineMs: number): Promise<Candidate>
    /** Ends the agent that runs, and gives its turn to the candidate. */
    replace(candidate: Candidate): Promise<void>
    /** Ends the agent that runs; the next one is of this program. */
    restartFrom(entry: string): void
    /** Resolves when the agent that runs now has settled what it found; rejects after the deadline. */
    settled(deadlineMs: number): Promise<void>
  }
  readonly shuttingDown: () => boolean
}

/**
 * `gracer upgrade`: new workers and a new agent of another installed version, while requests go on. What is old stays until
 * what is new has come up, so that every failure leaves things as they were. The master stays: its pid is what a
 * supervisor knows, and its socket what nobody may close.
 */
export class Upgrade {
  readonly #parts: UpgradeParts
  readonly #masterCode: string
  #runs: Installation
  #report: UpgradeReport = { state: 'none' }

  /** `runs`: what the parts were started from. Reads the master's own code now, before anybody replaces it on the disk. */
  constructor(runs: Installation, parts: UpgradeParts) {
    this.#parts = parts
    this.#runs = runs
    this.#masterCode = masterCode(runs.root)
  }

  get report(): UpgradeReport {
    return this.#report
  }

  /** Begins; the report tells the rest. While one is under way it is not begun again. `deadlines`: of the old workers' leave. */
  async begin(root: string, deadlines: DrainDeadlines): Promise<void> {
    if (this.#report.state === 'running') return
    const began = performance.now()
    const from = this.#runs
    let to: Installation
    try {
      if (this.#parts.shuttingDown()) throw new GracerError('gracer is shutting down', { code: 'shutting-down', exitCode: 4 })
      to = readInstallation(root)
    } catch (error) {
      return this.#failed(from.version, null, 'look', error as Error)
    }
    const { log, workers } = this.#parts
    log.info('upgrade.begun', { from: from.version, to: to.version, root: to.root })
    const oldWorkers = workers.ids()
    const oldPids = workers.pids()
    const oldAgent = this.#parts.agent.pid
    let fresh: WorkerId[] = []
    let step: 'workers' | 'agent' = 'workers'
    try {
      this.#say({ state: 'running', from: from.version, to: to.version, step })
      fresh = await workers.bringUp(to.workerEntry, workersMs)
      this.#stillWanted()
      step = 'agent'
      this.#say({ state: 'running', from: from.version, to: to.version, step })
      await this.#replaceAgent(from, to)
    } catch (error) {
      // Accepting already, perhaps with requests of its own: they leave as workers do.
      workers.retire(fresh, deadlines)
      return this.#failed(from.version, to.version, step, error as Error)
    }
    workers.use(to.workerEntry)
    workers.retire(oldWorkers, deadlines)
    this.#runs = to
    const masterChanged = this.#changed(to)
    log.info('upgrade.done', { from: from.version, to: to.version, masterChanged })
    this.#say({
      state: 'done', from: from.version, to: to.version, masterChanged, milliseconds: Math.round(performance.now() - began),
      workers: { before: oldPids, now: workers.pids().filter((pid) => !oldPids.includes(pid)) },
      agent: { before: oldAgent, now: this.#parts.agent.pid },
    })
  }

  /** The old one ends only when the new one has loaded everything: a new one that cannot start costs nothing. */
  async #replaceAgent(from: Installation, to: Installation): Promise<void> {
    const { agent } = this.#parts
    const candidate = await agent.candidate(to.agentEntry, agentLoadMs)
    if (this.#parts.shuttingDown()) candidate.discard()
    this.#stillWanted()
    await agent.replace(candidate)
    try {
      await agent.settled(agentReadyMs)
    } catch (error) {
      agent.restartFrom(from.agentEntry)
      await agent.settled(agentReadyMs).catch((again: unknown) => {
        this.#parts.log.error('upgrade.old-agent-not-back', { error: (again as Error).message })
      })
      throw error
    }
  }

  #stillWanted(): void {
    if (this.#parts.shuttingDown()) throw new GracerError('gracer is shutting down', { code: 'shutting-down', exitCode: 4 })
  }

  #changed(to: Installation): boolean {
    try {
      return masterCode(to.root) !== this.#masterCode
    } catch {
      // Half removed meanwhile: whatever it is, it is not what runs.
      return true
    }
  }

  #failed(from: string, to: string | null, step: 'look' | 'workers' | 'agent', error: Error): void {
    const known = error instanceof GracerError ? error : new GracerError(error.message, { code: 'upgrade-failed' })
    this.#parts.log.error('upgrade.failed', { from, to, step, error: known.message })
    this.#say({ state: 'failed', from, to, step, code: known.code, exitCode: known.exitCode, message: known.message, hint: known.hint ?? null })
  }

  #say(report: UpgradeReport): void {
    this.#report = report
    this.#parts.tell(report)
  }
}
