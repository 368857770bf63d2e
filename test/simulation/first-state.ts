import { newServiceState, type ServiceState } from '../../agent/swap/state.ts'
import type { Plan } from './plan.ts'
import { stopMs } from './sim-agent.ts'

/** A service whose first release was confirmed some time ago. Its process is filled in by whoever starts it. */
export function confirmedState(service: string, plan: Plan): ServiceState {
  const state = newServiceState(service)
  state.nextNumber = 2
  state.confirmed = 'v1'
  state.releases.push({
    id: 'v1', number: 1, name: null, source: '/begin', dropKey: null, origin: 'start', noticedAt: 0,
    boot: { command: ['app'], socket: 'inherit', env: {}, overlap: plan.overlap, bakeMs: plan.bakeMs, onCrashLoop: plan.onCrashLoop, stopMs },
    process: null, everConfirmed: true, outcome: { name: 'confirmed', reason: null, failure: null },
  })
  return state
}
