import { GracerError } from '../gracer-error.ts'
import type { Description } from './upgradable.ts'
import { UpgradeError } from './upgrade-error.ts'

/** What decides whether a process may be replaced. */
export interface UpgradeFacts {
  readonly state: Description['state']
  readonly generation: number
  /** Pid of the generation before, while it is still there. */
  readonly predecessor: number | null
  readonly underGracer: boolean
  readonly clusterWorker: boolean
  readonly mainThread: boolean
  /** Who takes the end of this process for the end of the service; see watched-by.ts. */
  readonly watcher: string | undefined
}

/** Why there can be no upgrade of this process, at all or just now; undefined where nothing stands against it. */
export function refusalOf(facts: UpgradeFacts): GracerError | undefined {
  const { state, generation, predecessor, underGracer, clusterWorker, mainThread, watcher } = facts
  if (underGracer) return new GracerError('this program is a backend of gracer, which replaces it', { code: 'under-gracer', hint: 'Use "gracer swap".' })
  if (clusterWorker) {
    return new UpgradeError('spawn', 'this process is a worker of node:cluster, whose sockets belong to the primary', { hint: 'Call serve() in the primary, or replace the workers from there.' })
  }
  if (!mainThread) return new UpgradeError('spawn', 'this is a worker thread, which cannot end its process', { hint: 'Call serve() in the main thread.' })
  if (state !== 'serving') return new UpgradeError('busy', whatItDoes[state])
  if (watcher !== undefined) {
    return new UpgradeError('spawn', `this process may not leave to a successor: ${watcher}`, { hint: 'Give serve() the option "front: true"; under systemd Type=notify with NotifyAccess=all does as well.' })
  }
  if (predecessor !== null) return new UpgradeError('busy', `generation ${generation - 1} (pid ${predecessor}) has not left yet: it is still answering`)
  return undefined
}

const whatItDoes = {
  starting: 'this process does not serve yet',
  upgrading: 'an upgrade is under way',
  draining: 'this process drains and will leave',
  closed: 'this process serves no more',
} as const
