import { statSync } from 'node:fs'
import { GracerError } from '../inherit/gracer-error.ts'
import { canaryOf, canaryToken, orderCanary } from './canary-handlers.ts'
import { formatDuration } from './config/units.ts'
import type { ControlEvent, ControlHandlers } from './control/handlers.ts'
import type { Explanation, Outcome, Receipt, Status, SwapRequest } from './control/shapes.ts'
import { digestInKey, identityKey, type Drop } from './drop.ts'
import type { MasterLink } from './master-link.ts'
import { collectMetrics } from './metrics/collect.ts'
import { pause, resume } from './pause-handlers.ts'
import { findRecord, findTarget, type Found } from './service/find-target.ts'
import { nextStep } from './service/next-step.ts'
import type { Service } from './service/service.ts'
import { serviceStatus } from './service/status.ts'
import { canUndo } from './swap/ends.ts'
import type { Services } from './services.ts'
import type { UpgradeDesk } from './upgrade-desk.ts'
import { findRelease, labelOf, stateOf, type ReleaseRecord, type ServiceState } from './swap/state.ts'

export interface HandlerOptions {
  readonly link: MasterLink
  readonly version: string
  readonly services: Services
  readonly upgradeDesk: UpgradeDesk
}

type Listener = (event: ControlEvent) => void

/** What a swap may take for all but its health check, where its command names no limit. */
const besideHealthMs = 60_000

/** What the control socket's orders do. */
export function createHandlers(options: HandlerOptions): ControlHandlers {
  const { link, services } = options

  const serviceNamed = (name: string): Service => services.named(name)

  const recordOf = (service: Service, label: string | null): ReleaseRecord => {
    const { state } = service.runner
    const record = label === null ? (state.releases.at(-1) ?? null) : findRecord(state, label)
    if (record !== null) return record
    if (label === null) throw new GracerError('nothing has been deployed yet', { code: 'no-such-release', exitCode: 2, hint: 'Copy a build into the releases folder, or name one: gracer swap PATH.' })
    const drop = service.drops?.find(label) ?? null
    if (drop === null) throw new GracerError(`there is no release ${label}`, { code: 'no-such-release', exitCode: 2, hint: 'gracer status lists what there is.' })
    throw neverBooted(state, drop)
  }

  const status = async (): Promise<Status> => {
    const figures = await link.figures()
    return {
      schema: 1,
      version: options.version,
      listen: link.hello.listen,
      proxy: { pid: link.hello.masterPid, version: link.hello.masterVersion, workers: figures?.workers ?? [] },
      agent: { pid: process.pid },
      violations: (figures?.services ?? []).reduce((total, one) => total + one.violations, 0),
      lost: (figures?.services ?? []).reduce((total, one) => total + one.lost, 0),
      refused: figures?.services.find((one) => one.service === '')?.waits.refused ?? {},
      services: await Promise.all(services.all().map(async ({ runner }) => serviceStatus(runner.state, figures, runner.boots, await runner.canary.status(figures)))),
    }
  }

  /** A swap that somebody else rolled back has failed for the one who asked for it. */
  const forSwap = (listener: Listener): Listener => (event) =>
    listener(event.kind === 'outcome' && event.outcome === 'rolled-back' ? { ...event, exitCode: 1 } : event)

  const swap = (name: string, request: SwapRequest, listener: Listener): void => {
    const service = serviceNamed(name)
    const { runner } = service
    // An invalid config refuses the swap and touches nothing.
    const { health, hooks, overlap, drain } = service.readConfig()
    const found = findTarget(request.target ?? null, runner.state, service.drops, service.workingFolder)
    if (typeof request.canary === 'number') refuseCanaryOfLive(request.target ?? null, runner.state)
    if (request.dryRun === true) return listener(dryRun(service, found))
    let release: string | null = null
    const following: Listener = (event) => {
      // A canary may take its time: the limit is for what comes before it.
      if (event.kind === 'outcome' || event.phase === 'flipped' || event.phase === 'canary') clearTimeout(timer)
      release = event.release
      forSwap(withRemark(found.remark, listener))(event)
    }
    const command = runner.teller.audience.command(following)
    const beforeBootMs = (hooks.prepare.length + hooks.release.length) * hooks.timeoutMs + (overlap ? 0 : drain.timeoutMs + drain.stopMs)
    const timeoutMs = request.timeoutMs ?? beforeBootMs + health.deadlineMs + besideHealthMs
    const timer = setTimeout(() => {
      if (release !== null) runner.dispatch({ type: 'undo', release, how: 'timed-out', reason: `it had not flipped within ${formatDuration(timeoutMs)}` })
    }, timeoutMs)
    runner.dispatch({
      type: 'deploy',
      request: {
        origin: 'swap', source: found.source, name: found.name, copy: found.copy ?? null, dropKey: found.dropKey, command, supersede: request.supersede === true, noticedAt: Date.now(),
        ...(request.canary === undefined ? {} : { canary: request.canary }),
      },
    })
  }

  return {
    status,
    metrics: () => collectMetrics(link, services.all(), options.version),
    history: (name, n): Receipt[] => serviceNamed(name).runner.teller.history.newest(n),
    explain(name, label): Explanation {
      const service = serviceNamed(name)
      const { state, teller: { story, history } } = service.runner
      const [record, why] = label === null ? mattersMost(state, history.newest(1)[0]) ?? [recordOf(service, null), 'newest'] as const : [recordOf(service, label), 'named'] as const
      return {
        schema: 1, service: name, release: record.id, name: record.name, why, state: stateOf(state, record), live: labelOf(findRelease(state, state.committed.live)),
        story: story.of(record.id).map(({ at, what }) => ({ at, what })), failure: record.outcome?.failure ?? null, receipt: history.of(record.id), next: nextStep(state, record, service.workingFolder),
      }
    },
    logs(name, label, since) {
      const service = serviceNamed(name)
      const { state } = service.runner
      const record = label === null ? (findRelease(state, state.committed.live) ?? recordOf(service, null)) : recordOf(service, label)
      return { release: labelOf(record) ?? record.id, file: service.logFile(record.id), ...(since === null ? {} : { from: service.logs.since(record.id, since) }) }
    },
    events(listener) {
      const ends = services.all().map(({ runner }) => runner.teller.audience.watch(listener))
      return () => ends.forEach((end) => end())
    },
    swap,
    pause: async (name, forMs) => await pause(serviceNamed(name), forMs),
    resume: async (name) => await resume(serviceNamed(name)),
    rollback(name, label, listener) {
      const service = serviceNamed(name)
      const { runner } = service
      const to = label === null ? null : recordOf(service, label).id
      const remark = rollbackRemark(runner.state, to)
      runner.dispatch({ type: 'rollback', to, command: runner.teller.audience.command(withRemark(remark, listener)) })
    },
    restart(name, listener) {
      const service = serviceNamed(name)
      const { runner } = service
      service.readConfig()
      const live = findRelease(runner.state, runner.state.committed.live) ?? findRelease(runner.state, runner.state.confirmed)
      if (live === undefined) throw new GracerError('there is no live release to restart', { code: 'nothing-live', exitCode: 2, hint: `Deploy one: gracer swap PATH${services.all().length === 1 ? '' : ` --service ${name}`}.` })
      const command = runner.teller.audience.command(forSwap(listener))
      runner.dispatch({ type: 'deploy', request: { origin: 'restart', source: live.source, copy: live.copy ?? null, name: live.name, dropKey: null, command, supersede: false, canary: 'none', noticedAt: Date.now() } })
    },
    undo(name, label): Promise<Outcome> {
      const { runner } = serviceNamed(name)
      const record = findRecord(runner.state, label)
      if (record === null || runner.state.swap?.release !== record.id || !canUndo(runner.state)) {
        throw new GracerError(`${label} cannot be undone: it is not before its flip`, { code: 'too-late', exitCode: 4, hint: 'To go back to the release before it: gracer rollback.' })
      }
      return new Promise((resolve) => {
        const end = runner.teller.audience.watch((event) => {
          if (event.kind !== 'outcome' || event.release !== record.id) return
          end()
          resolve(event)
        })
        runner.dispatch({ type: 'undo', release: record.id, how: 'aborted', reason: 'undone by command' })
      })
    },
    canary: async (name) => canaryOf(serviceNamed(name)),
    orderCanary: async (name, order) => orderCanary(serviceNamed(name), order),
    canaryToken: (name, wish, forMs) => canaryToken(serviceNamed(name), wish, forMs),
    down: () => link.say({ type: 'down' }),
    reload: () => services.reload(),
    upgrade: (root) => options.upgradeDesk.begin(root),
    upgradeReport: () => options.upgradeDesk.report,
  }
}

const troubles: ReadonlySet<string> = new Set(['failed', 'flipped-back', 'timed-out'])

/** Whose story is asked for where nobody says: what is under way, else what has just failed, else what is live. */
function mattersMost(state: Readonly<ServiceState>, last: Receipt | undefined): readonly [ReleaseRecord, Explanation['why']] | null {
  const underWay = findRelease(state, state.swap?.release ?? null)
  if (underWay !== undefined) return [underWay, 'under-way']
  const tried = last !== undefined && troubles.has(last.outcome) ? findRelease(state, last.release) : undefined
  if (tried !== undefined) return [tried, 'failed-last']
  const live = findRelease(state, state.committed.live)
  return live === undefined ? null : [live, 'live']
}

/** Compared with itself a release is always as good. */
function refuseCanaryOfLive(target: string | null, state: Readonly<ServiceState>): void {
  const record = target === null ? null : findRecord(state, target)
  if (record === null || record.id !== state.committed.live) return
  throw new GracerError(`${labelOf(record)} is live: it cannot be its own canary`, { code: 'canary-of-live', exitCode: 2, hint: 'Name another build, or boot it afresh without a canary: gracer restart.' })
}

/** A drop that never became a release: it waits, or did not wait long enough. */
function neverBooted(state: Readonly<ServiceState>, { identity, label: name }: Drop): GracerError {
  const waits = state.waiting?.dropKey === identityKey(identity)
  if (waits) return new GracerError(`${name} was dropped and waits for the swap under way`, { code: 'waiting', exitCode: 2, hint: 'gracer status shows both.' })
  const why = state.tried[identityKey(identity)] === 'superseded' ? ': a newer drop took its place in the waiting slot' : ''
  return new GracerError(`${name} was dropped and never booted${why}`, { code: 'never-booted', exitCode: 2, hint: `To deploy it all the same: gracer swap ${name}` })
}

/** The remark about what was named is told with the first phase. */
function withRemark(remark: string | null, listener: Listener): Listener {
  if (remark === null) return listener
  return (event) => listener(event.kind === 'phase' && event.phase === 'queued' ? { ...event, detail: remark } : event)
}

/** A folder that was booted again since holds one build only, and it is not the old one. */
function rollbackRemark(state: Readonly<ServiceState>, to: string | null): string | null {
  if (to === null && (state.tentative !== null || state.swap !== null)) return null
  const target = findRelease(state, to ?? state.previous.at(-1) ?? null)
  const live = findRelease(state, state.committed.live)
  if (target === undefined || live === undefined || target === live || target.process !== null || target.copy || target.source !== live.source || digestInKey(target.dropKey) !== null) return null
  return `${labelOf(target)} was booted from the folder that ${labelOf(live)} was booted from, and gets what lies there now`
}

function dryRun(service: Service, { source, copy, name, remark }: Found): Outcome {
  const { state } = service.runner
  const live = labelOf(findRelease(state, state.committed.live))
  const plan = copy || statSync(source).isDirectory() ? service.plan(copy?.folder ?? source, copy?.file ?? null) : null
  const how = plan === null ? ', from a copy made of it then,' : ` with ${JSON.stringify(plan.command.join(' '))}, its socket ${plan.socket === 'inherit' ? 'passed down' : 'by PORT'},`
  return {
    schema: 1, kind: 'outcome', service: service.name, release: null, name, outcome: 'dry-run', exitCode: 0, live,
    message: `${source} would be booted as v${state.nextNumber}${how} and take the place of ${live ?? 'nothing'}`,
    hint: remark, failure: null, receipt: null,
  }
}
