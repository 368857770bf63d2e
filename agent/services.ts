import { GracerError } from '../inherit/gracer-error.ts'
import type { FrontSettings } from '../proxy/front-settings.ts'
import type { Log } from '../proxy/log.ts'
import type { ToAgent } from '../proxy/messages.ts'
import { serviceOfKey } from '../proxy/release-key.ts'
import type { ServicePlace } from '../proxy/table.ts'
import { compareConfigs, type ConfigChange } from './config/compare.ts'
import { frontSettings } from './config/front-config.ts'
import type { Config, ServiceConfig } from './config/types.ts'
import type { MasterLink } from './master-link.ts'
import { forService } from './service-link.ts'
import { longestDrain } from './service/longest-drain.ts'
import { routeSettings } from './service/route-settings.ts'
import { ServiceEnd } from './service/service-end.ts'
import { Service } from './service/service.ts'
import type { StateFolder } from './state-folder.ts'

export interface ServicesOptions {
  readonly link: MasterLink
  readonly state: StateFolder
  readonly log: Log
  /** The last valid config. */
  readonly config: Config
  /** Reads the config again. @throws GracerError where it is not valid. */
  readonly read: () => Config
  /** Makes so what of a config is neither a service's nor the workers'; gives what could not be made so yet, in sentences. */
  readonly applied?: (config: Config) => Promise<readonly string[]>
}

/** All services of this gracer: begun with the agent, added, changed and removed by a reload, each on its own. */
export class Services {
  readonly #options: ServicesOptions
  readonly #services = new Map<string, Service>()
  /** Removed, with processes that still finish what they have. */
  readonly #ending = new Map<string, ServiceEnd>()
  /** What gracer was started with: a reload cannot change what its processes were started with. */
  readonly #atStart: Config
  #config: Config
  #reloading = false

  constructor(options: ServicesOptions) {
    this.#options = options
    this.#config = options.config
    this.#atStart = options.config
    for (const one of options.config.services) this.#services.set(one.name, this.#make(one, 'with-agent'))
  }

  /** The last config that was valid and made so. */
  get config(): Config {
    return this.#config
  }

  /** As the config has them, in its order. */
  all(): readonly Service[] {
    return this.#config.services.map(({ name }) => this.#services.get(name)).filter((service) => service !== undefined)
  }

  /** By name; without one, and where 'default' is none, the only one. @throws GracerError 'no-such-service' (exit 2) */
  named(name: string): Service {
    const found = this.#services.get(name)
    if (found !== undefined) return found
    const names = [...this.#services.keys()]
    const [only] = this.#services.values()
    if (name !== 'default') throw new GracerError(`there is no service ${name}`, { code: 'no-such-service', exitCode: 2, hint: `There is: ${names.join(', ')}.` })
    if (names.length === 1 && only !== undefined) return only
    throw new GracerError('which service is meant was not said', { code: 'no-such-service', exitCode: 2, hint: `Add --service with one of ${names.join(', ')}.` })
  }

  /** Names the services to the master, finishes or undoes what the last agent left, and begins. */
  async start(): Promise<void> {
    const { link, log } = this.#options
    await link.services(this.#places(), this.#front())
    // Of services that were taken out of the config while no agent was there.
    const strangers = link.hello.backends.filter((one) => !this.#services.has(one.service))
    for (const service of new Set(strangers.map((one) => one.service))) {
      log.warn('service.gone', { service }, 'It runs and is not in the config any more: it is drained and stopped.')
      this.#end(service, strangers.filter((one) => one.service === service).map((one) => one.release), longestDrain(this.#config.services))
    }
    for (const service of this.all()) await service.start()
  }

  /**
   * Reads the config again and makes it so: adds, changes and removes services, without touching the others.
   * @throws GracerError 'config-invalid' (exit 2) with every error at once, or 'busy' (exit 4); nothing was changed.
   */
  async reload(): Promise<ConfigChange> {
    if (this.#reloading) throw new GracerError('a reload is under way', { code: 'busy', exitCode: 4, hint: 'Try again in a moment.' })
    const next = this.#options.read()
    const { listen, workers, log } = this.#atStart
    const change = compareConfigs({ ...this.#config, listen, workers, log }, next)
    const unfinished = change.added.find((name) => this.#ending.has(name))
    if (unfinished !== undefined) {
      throw new GracerError(`service ${unfinished} was removed a moment ago and still finishes what it has`, { code: 'busy', exitCode: 4, hint: 'Try again when gracer status shows no draining release of it, at its drain deadline at the latest.' })
    }
    this.#reloading = true
    let notes: readonly string[] = []
    try {
      await this.#apply(next, change)
      notes = (await this.#options.applied?.(next)) ?? []
    } finally {
      this.#reloading = false
    }
    this.#options.log.info('config.reloaded', { added: change.added, removed: change.removed, changed: change.changed.map((one) => one.service), top: change.now })
    return notes.length === 0 ? change : { ...change, notes }
  }

  fromMaster(message: ToAgent): void {
    if ('release' in message) this.#ending.get(serviceOfKey(message.release))?.fromMaster(message)
    const word = forService(message)
    if (word !== null) this.#services.get(word.service)?.runner.fromMaster(word.message)
  }

  /** Undoes what is before its flip, and begins nothing any more. */
  async close(): Promise<void> {
    await Promise.all(this.all().map((service) => service.close()))
  }

  async #apply(next: Config, change: ConfigChange): Promise<void> {
    const { link } = this.#options
    const removed = change.removed.map((name) => this.named(name))
    // Undone before the route goes, so that nothing of it flips into a table that no longer has it.
    for (const service of removed) {
      await service.close()
      link.forget(service.name)
      this.#services.delete(service.name)
    }
    this.#config = next
    for (const one of next.services) await this.#services.get(one.name)?.apply(one, this.#workingFolder(one))
    const added = next.services.filter((one) => change.added.includes(one.name))
    for (const one of added) this.#services.set(one.name, this.#make(one, 'later'))
    await link.services(this.#places(), this.#front())
    for (const service of removed) this.#end(service.name, service.runner.keysOfProcesses(), longestDrain([service.config]))
    for (const one of added) await this.#services.get(one.name)?.start()
  }

  #end(service: string, releases: readonly string[], drain: ReturnType<typeof longestDrain>): void {
    const end = new ServiceEnd({
      service, releases, drain, link: this.#options.link,
      over: () => {
        this.#ending.delete(service)
        this.#options.log.info('service.removed', { service })
      },
    })
    this.#ending.set(service, end)
    end.begin()
  }

  #make(config: ServiceConfig, begins: 'with-agent' | 'later'): Service {
    const { link, state, log } = this.#options
    return new Service({ config, link, state, log, begins, readConfig: () => this.#readService(config.name), workingFolder: this.#workingFolder(config) })
  }

  /** Where `gracer up` was started, for a service that has no folder for drops. */
  #workingFolder(config: ServiceConfig): string | null {
    return config.releases === null && config.watch == null ? this.#config.base : null
  }

  #readService(name: string): ServiceConfig {
    const found = this.#options.read().services.find((service) => service.name === name)
    if (found !== undefined) return found
    throw new GracerError(`the config no longer has a service ${name}`, { code: 'config-invalid', exitCode: 2, hint: 'Make it so with gracer reload, or put the service back.' })
  }

  #front(): FrontSettings {
    return frontSettings(this.#config.front, this.#options.state)
  }

  #places(): ServicePlace[] {
    return this.#config.services.map((service) => ({ service: service.name, match: service.match, settings: routeSettings(service) }))
  }
}
