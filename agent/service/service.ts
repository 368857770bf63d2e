import { lstatSync, readdirSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { Log } from '../../proxy/log.ts'
import { isOf, withoutPreload } from '../boot/file-command.ts'
import { planBoot } from '../boot/plan.ts'
import { copiesToKeep } from '../builds/surplus.ts'
import type { ServiceConfig } from '../config/types.ts'
import { identityKey, type Drop } from '../drop.ts'
import { watchReleases, type Notice, type ReleasesWatch, type WatchReleasesOptions } from '../drops/folder-watch.ts'
import { isWithin } from '../drops/identity.ts'
import { checksumEnding } from '../drops/name.ts'
import { watchPath } from '../drops/path-watch.ts'
import { pruneReleases } from '../drops/prune.ts'
import type { MasterLink } from '../master-link.ts'
import { ServiceLink } from '../service-link.ts'
import type { StateFolder } from '../state-folder.ts'
import { findRelease, labelOf, type BootPlan, type DeployRequest } from '../swap/state.ts'
import { BackendLogs, besideLog } from './backend-logs.ts'
import { dropRequest, type KnownDrops } from './find-target.ts'
import { ServiceRunner } from './runner.ts'

const logLookMs = 5_000
/** Beyond `settle`: until a drop that lay there at the start is taken. */
const settlingMs = 1_000

export interface ServiceOptions {
  /** The last valid config: what the service begins with. */
  readonly config: ServiceConfig
  readonly link: MasterLink
  readonly state: StateFolder
  readonly log: Log
  /** Reads the whole config again and gives this service's part. Throws GracerError where it is not valid. */
  readonly readConfig: () => ServiceConfig
  /** Where `gracer up` was started: what is deployed when nothing is dropped anywhere. null: only drops. */
  readonly workingFolder: string | null
  /** later: it is added to an agent that runs already. Default: with it. */
  readonly begins?: 'with-agent' | 'later'
}

/** One service: its runner, the folder its builds are dropped into, and what is kept of old ones. */
export class Service {
  readonly name: string
  readonly runner: ServiceRunner
  readonly logs: BackendLogs
  readonly #options: ServiceOptions
  #workingFolder: string | null
  #config: ServiceConfig
  #watch: ReleasesWatch | null = null
  readonly #logTimer: NodeJS.Timeout

  constructor(options: ServiceOptions) {
    this.#options = options
    this.name = options.config.name
    this.#workingFolder = options.workingFolder
    this.#config = options.config
    this.runner = new ServiceRunner({
      service: this.name,
      folder: options.state.serviceFolder(this.name),
      workingFolder: options.workingFolder,
      link: new ServiceLink(options.link, options.config.name, options.begins ?? 'with-agent'),
      log: options.log,
      logFile: (release) => this.logFile(release),
      config: () => this.readConfig(),
      lastConfig: () => this.#config,
      running: (record, running) => this.#watch?.setRunning(record.source, running),
      ended: (record) => {
        void this.#pruneCopies()
        if (record.outcome?.name === 'confirmed') void this.#prune()
      },
    })
    this.logs = new BackendLogs({ service: this.name, log: options.log, file: (release) => this.logFile(release) })
    this.#logTimer = setInterval(() => void this.logs.look(this.runner.state.releases.filter((record) => record.process !== null).map((record) => record.id)), logLookMs)
  }

  get workingFolder(): string | null {
    return this.#workingFolder
  }

  /** The last config that was valid. */
  get config(): ServiceConfig {
    return this.#config
  }

  get drops(): KnownDrops | null {
    const watch = this.#watch
    const folder = this.#config.releases ?? this.#config.watch ?? null
    if (watch === null || folder === null) return null
    return { folder, watched: this.#config.watch != null, newest: () => watch.newest(), find: (name) => watch.find(name) }
  }

  logFile(release: string): string {
    return this.#options.state.releaseLog(this.name, release)
  }

  /** @throws GracerError where the config is not valid; the last valid one stays in use. */
  readConfig(): ServiceConfig {
    this.#config = this.#options.readConfig()
    return this.#config
  }

  plan(source: string, file: string | null = null): BootPlan {
    return planBoot(this.readConfig(), source, file)
  }

  /** Finishes or undoes what the last agent left, then deploys what there is to deploy, and watches for drops. */
  async start(): Promise<void> {
    await this.runner.recover()
    if (this.#options.link.hello.masterIsNew) this.#sayOtherCommand()
    await this.#watchDrops()
    this.#deployFirst(this.#watch?.newest() ?? null)
    // What lies there may still be settling: a request that comes meanwhile is held, not turned away.
    if (this.#config.releases === null && this.#config.watch == null) this.runner.nothingToDeploy()
    else setTimeout(() => this.runner.nothingToDeploy(), this.#config.settleMs + settlingMs)
  }

  /** A start boots what was confirmed, as it was deployed: whoever has given another command since waits for it in vain. */
  #sayOtherCommand(): void {
    const { command } = this.#config
    const { state } = this.runner
    const live = findRelease(state, state.confirmed)
    if (command === null || live?.boot == null || isOf(live.boot.command, command)) return
    const option = this.name === 'default' ? '' : ` --service ${this.name}`
    this.#options.log.warn('service.command-differs', {
      service: this.name, release: live.id,
      message: `${labelOf(live) ?? live.id} runs as it was deployed, by "${withoutPreload(live.boot.command).join(' ')}"; "${command.join(' ')}" is taken up by the next boot: gracer restart${option}`,
    })
  }

  /** Takes up a config that was read again: what concerns the next boot waits for that. */
  async apply(config: ServiceConfig, workingFolder: string | null): Promise<void> {
    const before = this.#config
    this.#config = config
    this.#workingFolder = workingFolder
    if (before.releases === config.releases && before.watch === config.watch && before.settleMs === config.settleMs && before.builds?.sha256 === config.builds?.sha256) return
    await this.#watch?.close()
    this.#watch = null
    await this.#watchDrops()
    // Another folder: what lies there is taken as at a start.
    if (before.releases !== config.releases && config.releases !== null || before.watch !== config.watch && config.watch != null) this.#deployFirst((this.#watch as ReleasesWatch | null)?.newest() ?? null)
  }

  async #watchDrops(): Promise<void> {
    const { releases, watch, settleMs, builds } = this.#config
    const common = {
      settleMs,
      onDrop: (drop: Drop) => this.#dropped(drop),
      onNotice: (notice: Notice) => this.#options.log.warn('drops.notice', { service: this.name, code: notice.code, path: notice.path, message: notice.message, hint: notice.hint }),
    } satisfies Partial<WatchReleasesOptions>
    if (watch != null) this.#watch = await watchPath({ ...common, path: watch, without: [this.#options.state.path] })
    else if (releases !== null) this.#watch = await watchReleases({ ...common, folder: releases, checksums: builds?.sha256 })
    if (this.#watch === null) return
    for (const record of this.runner.state.releases) if (record.process !== null) this.#watch.setRunning(record.source, true)
  }

  async close(): Promise<void> {
    clearInterval(this.#logTimer)
    await this.#watch?.close()
    this.runner.close()
  }

  #dropped(drop: Drop): void {
    this.#options.log.info('drops.complete', { service: this.name, name: drop.label, path: drop.path, how: drop.complete })
    this.runner.dispatch({ type: 'deploy', request: this.#request(drop) })
  }

  #request(drop: Drop): DeployRequest {
    return this.#config.watch == null ? dropRequest(drop) : { ...dropRequest(drop), name: null }
  }

  /** The same content as that of the last one, copied again while gracer was away. */
  #isLast(drop: Drop): boolean {
    const { digest } = drop.identity
    const last = this.runner.state.releases.findLast((record) => record.origin === 'drop' && record.source === drop.path)
    return digest !== null && last?.dropKey?.endsWith(`:${digest}`) === true
  }

  /** What was dropped while gracer was away is taken like any other drop: only if it was never tried. */
  #deployFirst(newest: Drop | null): void {
    const { state } = this.runner
    if (newest !== null && !this.#isLast(newest) && !Object.hasOwn(state.tried, identityKey(newest.identity))) return this.runner.dispatch({ type: 'deploy', request: this.#request(newest) })
    if (newest !== null || this.workingFolder === null || state.confirmed !== null || state.swap !== null) return
    this.runner.dispatch({
      type: 'deploy',
      request: { origin: 'start', source: this.workingFolder, name: null, dropKey: null, command: null, supersede: false, noticedAt: Date.now() },
    })
  }

  /** Of the drops that gracer took in, the newest `keep` stay beside those still in use; the folders of older ones go. */
  async #prune(): Promise<void> {
    this.#removeLeftovers()
    const { releases, keep } = this.#config
    if (releases === null) return
    const { state } = this.runner
    const inUse = new Set(state.releases.filter((record) => record.process !== null || record.id === state.confirmed || record.id === state.swap?.release).map((record) => record.source))
    const current = this.#watch?.current() ?? null
    if (current !== null) inUse.add(current.path)
    const dropped = state.releases.filter((record) => record.dropKey !== null && isWithin(releases, record.source) && dirname(record.source) === releases)
    const sources = [...new Set(dropped.map((record) => record.source).reverse())].filter((source) => !inUse.has(source))
    const old = sources.slice(keep).filter((source) => this.#wasTried(source))
    if (old.length === 0) return
    try {
      const pruned = await pruneReleases(releases, old.flatMap((source) => [source, ...besides(source)]))
      this.#options.log.info('drops.pruned', { service: this.name, ...pruned })
      for (const record of state.releases) if (old.includes(record.source)) this.logs.remove(record.id)
    } catch (error) {
      this.#options.log.warn('drops.not-pruned', { service: this.name, error: (error as Error).message })
    }
  }

  /** What lies there now may be another drop of the same name, or be about to become one. */
  #wasTried(source: string): boolean {
    const stats = lstatSync(source, { throwIfNoEntry: false })
    if (stats === undefined) return true
    const identity = this.#watch?.list().find((drop) => drop.path === source)?.identity
    if (identity === undefined || !Object.hasOwn(this.runner.state.tried, identityKey(identity))) return false
    // A file that is being written over is noticed by the watch a while later.
    return identity.mtimeMs === undefined || identity.mtimeMs === stats.mtimeMs && identity.size === stats.size
  }

  /** gracer's own copies of builds: of old ones as many stay as of folders; those in use always. */
  async #pruneCopies(): Promise<void> {
    const { house } = this.runner.boots
    try {
      const gone = await house.keepOnly(copiesToKeep(this.runner.state, this.#config.keep, (release) => house.rootOf(release)))
      if (gone.length > 0) this.#options.log.info('builds.pruned', { service: this.name, gone })
    } catch (error) {
      this.#options.log.warn('builds.not-pruned', { service: this.name, error: (error as Error).message })
    }
  }

  /** What is kept of a release ends with its record. */
  #removeLeftovers(): void {
    const known = new Set(this.runner.state.releases.map((record) => record.id))
    const logs = dirname(this.logFile('v1'))
    for (const name of readdirSync(logs)) {
      const release = new RegExp(`^${this.name.replaceAll('.', '\\.')}\\.(v\\d+)\\.log(?:${besideLog.join('|').replaceAll('.', '\\.')})?$`).exec(name)?.[1]
      if (release !== undefined && !known.has(release)) rmSync(join(logs, name), { force: true })
    }
    for (const kind of ['manifests', 'configs', 'swaps']) {
      const folder = join(this.#options.state.serviceFolder(this.name), kind)
      for (const name of readdirSync(folder)) if (!known.has(basename(name, '.json'))) rmSync(join(folder, name), { force: true })
    }
  }
}

/** The files that speak for a build, beside it. */
function besides(source: string): string[] {
  return [`${source}.ready`, `${source}${checksumEnding}`].filter((path) => lstatSync(path, { throwIfNoEntry: false })?.isFile() === true)
}
