import { releaseKey } from '../../proxy/release-key.ts'
import { findRelease, type ServiceState } from '../../agent/swap/state.ts'
import { routeOf } from '../../proxy/table.ts'
import { Violation } from './violation.ts'
import type { World } from './world.ts'

function fail(what: string): never {
  throw new Violation('Q rest', what)
}

/** All that must hold once nothing more happens by itself. @throws Violation */
export function checkRest(world: World): void {
  const { master } = world
  if (master?.alive !== true) return fail('there is no master')
  const { agent } = master
  if (agent?.alive !== true || !agent.started) return fail('there is no agent')
  if (master.committer.flipping) fail('a flip is still open')
  const { table } = master.committer
  if (world.disk.table !== table) fail('the table file is not the committed table')
  checkWorkers(world, table.number)
  world.checks.canaries.none(table, 'when all has come to rest')
  for (const service of world.plan.services) {
    const state = agent.states.get(service)
    if (state === undefined) return fail(`the agent does not know service ${service}`)
    checkState(state)
    checkService(world, state)
  }
  world.checks.deploys.check()
}

function checkWorkers(world: World, number: number): void {
  const { workers } = world.master as NonNullable<World['master']>
  if (workers.length !== world.plan.workers) fail(`${workers.length} of ${world.plan.workers} workers run`)
  if (world.workers.size !== workers.length) fail('the worker of a dead master has not left')
  for (const worker of workers) {
    if (worker.routes.table.number !== number) fail(`${worker.name} has table ${worker.routes.table.number}, and the master ${number}`)
    if (worker.routes.anyPrepared) fail(`${worker.name} is still prepared`)
    if (!worker.idle) fail(`${worker.name} still has requests: ${[...worker.waiting].map((request) => `${request.id} ${request.state}`).join(', ') || 'in flight'}`)
  }
  if (world.queued > 0) fail('a connection waits in the queue')
}

function checkState(state: ServiceState): void {
  const where = `service ${state.service}`
  if (state.swap !== null) fail(`${where}: the swap to ${state.swap.release} hangs in step ${state.swap.step}`)
  if (state.tentative !== null) fail(`${where}: ${state.tentative.release} is still tentative`)
  if (state.restarting !== null) fail(`${where}: still restarting, step ${state.restarting.step}`)
  if (state.leaving.length > 0) fail(`${where}: ${state.leaving.map((one) => `${one.release} is still ${one.step}`).join(', ')}`)
  if (state.waiting !== null) fail(`${where}: a drop still waits`)
  if (state.pending !== null) fail(`${where}: a change of the table was never answered`)
  if (state.paused !== null && state.paused !== undefined) fail(`${where}: still paused`)
  if (state.resting) fail(`${where}: still resting`)
}

function checkService(world: World, state: ServiceState): void {
  const { service, confirmed } = state
  const running = [...world.ports.values()].filter((backend) => backend.alive && backend.service === service)
  const names = running.map((backend) => backend.name).join(', ') || 'nothing'
  const route = routeOf(world.disk.table, service)
  const live = route?.live ?? null
  const drop = world.newestDrop(service)
  if (drop !== null && !Object.hasOwn(state.tried, drop)) fail(`the newest drop of ${service}, ${drop}, was never taken up`)
  if (confirmed === null) {
    if (live !== null || running.length > 0) fail(`nothing of ${service} is confirmed, yet ${live?.release ?? 'nothing'} is live and ${names} runs`)
    if (world.counts.complete > 0 && world.checks.floorOf(service) > 0 && world.plan.beginsLive) fail(`${service} was live and is down`)
    return
  }
  if (live?.release !== releaseKey(service, confirmed)) fail(`${confirmed} of ${service} is confirmed, and ${live?.release ?? 'nothing'} is live`)
  if (route !== undefined && route.fallback !== null) fail(`${route.fallback.release} is still the fallback`)
  const process = findRelease(state, confirmed)?.process
  if (running.length !== 1 || running[0]?.port !== live?.port || process?.port !== live?.port) fail(`${confirmed} of ${service} is live on port ${live?.port ?? 0}, and ${names} runs`)
}
