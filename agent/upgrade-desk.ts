import { GracerError } from '../inherit/gracer-error.ts'
import { readInstallation } from '../proxy/master/installation.ts'
import type { UpgradeReport } from '../proxy/messages.ts'
import type { MasterLink } from './master-link.ts'
import { longestDrain } from './service/longest-drain.ts'
import type { Service } from './service/service.ts'

/** Takes the order to upgrade gracer and knows how it went. The master carries it out: this agent is replaced by it. */
export class UpgradeDesk {
  readonly #link: MasterLink
  readonly #version: string
  readonly #services: () => readonly Service[]
  #report: UpgradeReport

  /** `version`: of this agent, which may be another one than the master's. */
  constructor(link: MasterLink, version: string, services: () => readonly Service[]) {
    this.#link = link
    this.#version = version
    this.#services = services
    this.#report = link.hello.upgrade
  }

  get report(): UpgradeReport {
    return this.#report
  }

  /** The master's word. */
  heard(report: UpgradeReport): void {
    this.#report = report
  }

  /**
   * Has the master replace workers and agent by the version in this folder.
   * @throws GracerError 'busy' (exit 4), or 'not-an-installation' (exit 2); nothing was changed then.
   */
  begin(root: string): UpgradeReport {
    if (this.#report.state === 'running') {
      throw new GracerError(`an upgrade from ${this.#report.from} to ${this.#report.to} is under way`, { code: 'busy', exitCode: 4, hint: 'Wait for its end: gracer status answers again then.' })
    }
    const swapping = this.#services().find(({ runner }) => runner.state.swap !== null)
    if (swapping !== undefined) {
      throw new GracerError(`a swap of service ${swapping.name} is before its flip`, { code: 'busy', exitCode: 4, hint: 'Wait for it (gracer status), or undo it: gracer rollback.' })
    }
    const to = readInstallation(root)
    this.#report = { state: 'running', from: this.#version, to: to.version, step: 'workers' }
    this.#link.say({ type: 'upgrade', root: to.root, deadlines: longestDrain(this.#services().map((service) => service.config)).deadlines })
    return this.#report
  }
}
