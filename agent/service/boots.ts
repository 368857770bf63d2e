import { existsSync, mkdirSync, realpathSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { GracerError } from '../../inherit/gracer-error.ts'
import type { Log } from '../../proxy/log.ts'
import { extraPorts } from '../boot/extra-ports.ts'
import { lastLines, sizeOf } from '../boot/last-lines.ts'
import { groupMemory, memoryRoom, memoryWarning } from '../boot/memory.ts'
import { planBoot, realFolder } from '../boot/plan.ts'
import { BuildHouse } from '../builds/house.ts'
import { buildDefaults } from '../builds/limits.ts'
import { takeInBuild, type WatchedSource } from '../builds/take-in.ts'
import { keepConfig, keptConfig } from '../config/kept.ts'
import type { ServiceConfig } from '../config/types.ts'
import type { Failure } from '../control/shapes.ts'
import { digestInKey, fileInKey } from '../drop.ts'
import { checkHealth } from '../health/check.ts'
import { portBelongsTo } from '../health/port-owner.ts'
import { probe, type ProbeResult } from '../health/probe.ts'
import { watchHealth } from '../health/watch.ts'
import { whyUnhealthy } from '../health/why-unhealthy.ts'
import type { ServiceLink } from '../service-link.ts'
import type { SwapEvent } from '../swap/events.ts'
import { failureAt } from '../swap/ends.ts'
import type { BootPlan, ReleaseRecord } from '../swap/state.ts'
import { Manifests } from './manifests.ts'

/** How far a boot has come, for the case that its process ends before its check does. */
interface Trial {
  readonly begunMs: number
  attempts: number
  last: ProbeResult | null
}

export interface BootsOptions {
  readonly folder: string
  readonly link: ServiceLink
  readonly log: Log
  readonly logFile: (release: string) => string
  /** The config as it is now, read again. Throws GracerError where it is not valid. */
  readonly config: () => ServiceConfig
  /** The last config that was valid. */
  readonly lastConfig: () => ServiceConfig
  /** The releases that were booted from the same folder before this one, oldest first. */
  readonly earlier: (record: ReleaseRecord) => readonly string[]
  readonly dispatch: (event: SwapEvent) => void
  /** To the terminal, the log and the story. */
  readonly warn: (release: string, what: string) => void
  /** The leader of the live release's process group, where this one is to run beside it. */
  readonly beside: (release: string) => number | null
  /** Further ports that releases of the service have been given. */
  readonly portsTaken: () => ReadonlySet<number>
  /** For the terminal and the story: how the checking goes on. `repeated`: it says no more than the one before. */
  readonly detail: (release: string, detail: string, repeated: boolean) => void
  /** The same for the taking in. */
  readonly taking: (release: string, detail: string, repeated: boolean) => void
}

/** Whatever concerns the process of a release: taking in, starting, checking and watching it. */
export class Boots {
  readonly #options: BootsOptions
  readonly #configs = new Map<string, ServiceConfig>()
  readonly #manifests: Manifests
  readonly #logFrom = new Map<string, number>()
  readonly #trials = new Map<string, Trial>()
  readonly #checks = new Map<string, AbortController>()
  readonly #watches = new Map<string, AbortController>()
  readonly #takeIns = new Map<string, AbortController>()
  readonly #ready = new Map<string, () => void>()
  /** Where gracer's own copies of builds lie. */
  readonly house: BuildHouse
  /** Releases on a port of their own whose process could not be read. */
  readonly unverified = new Set<string>()
  readonly remarks = new Map<string, string>()

  constructor(options: BootsOptions) {
    this.#options = options
    mkdirSync(join(options.folder, 'configs'), { recursive: true, mode: 0o700 })
    this.house = new BuildHouse(join(options.folder, 'builds'))
    this.house.sweep()
    this.#manifests = new Manifests({ folder: join(options.folder, 'manifests'), earlier: options.earlier })
  }

  /** The config that the release was taken in with: it is probed and drained by that, whatever the file says by now. */
  configOf(release: string): ServiceConfig {
    const config = this.#configs.get(release) ?? keptConfig<ServiceConfig>(this.#configFile(release)) ?? this.#options.lastConfig()
    this.#configs.set(release, config)
    return config
  }

  /** Reads the config again, takes the build in, and decides how it is started. */
  async takeIn(record: ReleaseRecord): Promise<void> {
    const { dispatch, config } = this.#options
    const control = new AbortController()
    this.#takeIns.set(record.id, control)
    try {
      const current = config()
      this.#configs.set(record.id, current)
      keepConfig(this.#configFile(record.id), current)
      const { folder, file, copy } = await takeInBuild({
        house: this.house, release: record.id, source: record.source, copy: record.copy ?? null, watched: this.#watched(record, current), dropped: record.origin === 'drop' ? fileInKey(record.dropKey) : null, config: { builds: current.builds ?? buildDefaults, command: current.command }, signal: control.signal,
        tell: (what, repeated) => this.#options.taking(record.id, what, repeated),
      })
      // What lies in a copy of ours is what was taken in.
      if (copy === null) {
        await this.#manifests.checkUnchanged(record, folder, current.releases)
        this.#manifests.take(record, folder, current.releases)
      }
      dispatch({ type: 'taken-in', release: record.id, plan: await this.#withPorts(planBoot(current, folder, file), current), copy })
    } catch (error) {
      // Whoever ended it knows why.
      if (control.signal.aborted) return
      dispatch({ type: 'take-in-failed', release: record.id, failure: failureAt('take-in', withHint(error as Error)) })
    } finally {
      if (this.#takeIns.get(record.id) === control) this.#takeIns.delete(record.id)
    }
  }

  /** Its swap has ended: what is being taken in for it is not wanted any more. */
  endTakeIn(release: string): void {
    this.#end(this.#takeIns, release)
  }

  spawn(record: ReleaseRecord): void {
    const plan = record.boot
    const logFile = this.#options.logFile(record.id)
    const fail = (error: unknown): void => this.#options.dispatch({ type: 'spawn-failed', release: record.id, failure: failureAt('boot', withHint(error as Error)) })
    if (plan === null) return fail(new GracerError(`how ${record.id} was started is not known any more`, { code: 'no-plan', hint: 'Deploy it again with `gracer swap PATH`.' }))
    try {
      this.#logFrom.set(record.id, sizeOf(logFile))
      this.#trials.set(record.id, { begunMs: performance.now(), attempts: 0, last: null })
      // What its hooks have written is part of what is booted.
      if (!record.copy && !record.everConfirmed && record.ran !== undefined) this.#manifests.takeAgain(record, realFolder(record.source), this.configOf(record.id).releases)
      this.#weigh(record.id, plan)
      const [command = '', ...args] = plan.command
      this.#options.link.spawn({
        release: record.id, command, args, cwd: realFolder(record.copy?.folder ?? record.source), env: plan.env, socket: plan.socket, logFile,
      })
    } catch (error) {
      fail(error)
    }
  }

  /** The release said READY. */
  saidReady(release: string): void {
    this.#ready.get(release)?.()
  }

  async check(record: ReleaseRecord): Promise<void> {
    const { process: running } = record
    if (running === null) return
    this.#end(this.#checks, record.id)
    const control = new AbortController()
    this.#checks.set(record.id, control)
    const { health } = this.configOf(record.id)
    const ready = new Promise<void>((resolve) => this.#ready.set(record.id, resolve))
    const result = await checkHealth({
      port: running.port, health, signal: control.signal, ready,
      attempt: (attempts, last) => {
        const trial = this.#trials.get(record.id)
        const repeated = attempts > 1 && trial?.last?.remark === last.remark
        if (trial !== undefined) Object.assign(trial, { attempts, last })
        this.#options.detail(record.id, `probe ${attempts}: ${last.remark ?? 'failed'}`, repeated)
      },
    })
    if (control.signal.aborted) return
    this.#checks.delete(record.id)
    this.#ready.delete(record.id)
    if (!result.healthy) {
      const failure = this.#withLastWords(record.id, result.failure)
      return this.#options.dispatch({ type: 'unhealthy', release: record.id, pid: running.pid, failure: { ...failure, message: failure.message + whyUnhealthy({ ...running, socket: record.boot?.socket ?? 'inherit' }, failure) } })
    }
    const trouble = await this.#beforeFlip(record)
    if (control.signal.aborted) return
    if (trouble !== null) return this.#options.dispatch({ type: 'unhealthy', release: record.id, pid: running.pid, failure: trouble })
    if (result.remark !== null) {
      this.remarks.set(record.id, result.remark)
      this.#options.log.warn('health.remark', { release: record.id, remark: result.remark })
    }
    this.#options.detail(record.id, `healthy after ${result.attempts} probes, ${result.elapsedMs} ms`, false)
    this.#options.dispatch({ type: 'healthy', release: record.id, pid: running.pid })
  }

  watch(record: ReleaseRecord, baking: boolean): void {
    this.#end(this.#watches, record.id)
    if (record.process === null) return
    const control = new AbortController()
    this.#watches.set(record.id, control)
    const { health } = this.configOf(record.id)
    void watchHealth({
      port: record.process.port, health, baking, signal: control.signal,
      sick: (result, inRow) => {
        const message = `${inRow} health probes in a row failed: ${result.remark ?? result.error ?? 'no answer'}`
        this.#options.log.warn('health.sick', { release: record.id, message })
        const failure: Failure = { ...this.#withLastWords(record.id, failureAt('bake', message)), attempts: inRow, lastStatus: result.status, lastLocation: result.location, lastError: result.error }
        this.#options.dispatch({ type: 'sick', release: record.id, failure })
      },
      well: () => this.#options.log.info('health.well', { release: record.id }),
    })
  }

  unwatch(release: string): void {
    this.#end(this.#watches, release)
    this.#end(this.#checks, release)
  }

  async probeFallback(record: ReleaseRecord): Promise<void> {
    if (record.process === null) return
    const { health } = this.configOf(record.id)
    const result = await probe(record.process.port, health, AbortSignal.timeout(health.timeoutMs))
    this.#options.dispatch({ type: 'fallback-probed', release: record.id, healthy: result.healthy })
  }

  /** Whether connections to the release are refused, before a worker's word about it is believed. */
  async refusesConnections(record: ReleaseRecord): Promise<boolean> {
    if (record.process === null) return true
    const { health } = this.configOf(record.id)
    const result = await probe(record.process.port, health, AbortSignal.timeout(health.timeoutMs))
    return !result.healthy && result.error !== null
  }

  exitFailure(release: string, code: number | null, signal: string | null, stage: Failure['stage']): Failure {
    const how = signal !== null ? `was ended by ${signal}` : code === null ? 'ended' : `exited with code ${code}`
    const failure = { ...this.#withLastWords(release, failureAt(stage, `its process ${how}`)), exit: { code, signal } }
    const trial = this.#trials.get(release)
    if (stage !== 'boot' || trial === undefined) return failure
    const hint = code === 0 ? '; a release must stay in the foreground for as long as it serves' : ''
    return {
      ...failure,
      message: `${failure.message} before it was healthy${hint}`,
      attempts: trial.attempts,
      lastStatus: trial.last?.status ?? null,
      lastLocation: trial.last?.location ?? null,
      lastError: trial.last?.error ?? null,
      elapsedMs: Math.round(performance.now() - trial.begunMs),
      deadlineMs: this.#configs.get(release)?.health.deadlineMs ?? null,
    }
  }

  forget(release: string): void {
    this.unwatch(release)
    this.#configs.delete(release)
    this.#ready.delete(release)
    this.#logFrom.delete(release)
    this.#trials.delete(release)
    this.#manifests.forget(release)
    this.unverified.delete(release)
  }

  /** What a release must still be when it has answered well: itself, and what was taken in. */
  async #beforeFlip(record: ReleaseRecord): Promise<Failure | null> {
    const running = record.process
    if (running !== null && record.boot?.socket === 'port') {
      const owner = portBelongsTo(running.port, running.pid)
      if (owner === 'not-ours') return failureAt('health', `port ${running.port} is answered by a process that is not part of ${record.id}`)
      if (owner === 'unknown') this.unverified.add(record.id)
      else this.unverified.delete(record.id)
    }
    if ((record.copy ?? null) !== null) return null
    try {
      const change = await this.#manifests.changeSinceTakeIn(record, this.configOf(record.id).releases)
      if (change === null) return null
      return failureAt('take-in', `its folder changed while it was being booted: ${change}. Move builds in with a rename, or put NAME.ready beside them when they are whole`)
    } catch (error) {
      return failureAt('take-in', withHint(error as Error))
    }
  }

  /** Says beforehand that memory may not carry both; it is only a guess, so it stops nothing. */
  #weigh(release: string, plan: BootPlan): void {
    const leader = plan.overlap === false ? null : this.#options.beside(release)
    const warning = leader === null ? null : memoryWarning(groupMemory(leader), memoryRoom())
    if (warning !== null) this.#options.warn(release, warning)
  }

  /** Also of what the path led to when it was announced: a symlink may have been moved since. */
  #watched({ source, dropKey, noticedAt, origin, boot }: ReleaseRecord, config: ServiceConfig): WatchedSource | undefined {
    const digest = digestInKey(dropKey)
    if (config.watch == null || digest === null && !(existsSync(config.watch) && realpathSync(config.watch) === source)) return undefined
    const announced = digest !== null && origin === 'drop' ? { digest, atMs: noticedAt, back: boot !== null } : null
    return { name: basename(config.watch), without: [this.#options.folder, dirname(dirname(this.#options.folder))], announced }
  }

  /** A number for each further port, none of which another release of the service has. */
  async #withPorts(plan: BootPlan, config: ServiceConfig): Promise<BootPlan> {
    if (config.ports.size === 0) return plan
    const ports = await extraPorts(config.ports, this.#options.portsTaken())
    const given = Object.fromEntries(Object.entries(ports).map(([name, port]) => [name, String(port)]))
    // The preload must not take one of them for the port that the inherited socket is meant for.
    return { ...plan, ports, env: { ...plan.env, ...given, GRACER_KEEP_PORTS: Object.values(ports).join(',') } }
  }

  #configFile(release: string): string {
    return join(this.#options.folder, 'configs', `${release}.json`)
  }

  #withLastWords(release: string, failure: Failure): Failure {
    const logFile = this.#options.logFile(release)
    return { ...failure, lastLines: lastLines(logFile, this.#logFrom.get(release) ?? 0), logFile }
  }

  #end(controls: Map<string, AbortController>, release: string): void {
    controls.get(release)?.abort()
    controls.delete(release)
  }
}

export function withHint(error: Error): string {
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ENOSPC' || code === 'EDQUOT') return `${error.message}. Make room on the disk and try again`
  return error instanceof GracerError && error.hint !== undefined ? `${error.message}. ${error.hint}` : error.message
}
