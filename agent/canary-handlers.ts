import { GracerError } from '../inherit/gracer-error.ts'
import { overrideName, signOverride } from '../proxy/canary/override.ts'
import type { CanaryOrder } from './canary/canary.ts'
import { formatPercent } from './canary/step-text.ts'
import type { CanaryAnswer, CanaryToken } from './control/shapes.ts'
import type { Service } from './service/service.ts'
import { canaryPlace } from './swap/canary.ts'
import { findRelease, labelOf } from './swap/state.ts'

/** What there is of a canary now; null: nothing. */
export async function canaryOf(service: Service, message: string | null = null): Promise<CanaryAnswer> {
  const canary = await service.runner.canary.status()
  return { schema: 1, service: service.name, live: labelOf(findRelease(service.runner.state, service.runner.state.committed.live)), message, canary }
}

/** @throws GracerError, and changes nothing, where there is no canary, or the order makes no sense for it now. */
export async function orderCanary(service: Service, order: CanaryOrder): Promise<CanaryAnswer> {
  const { runner } = service
  const { swap } = runner.state
  if (swap === null || canaryPlace(swap) === null) {
    const doing = swap === null ? '' : `: ${labelOf(findRelease(runner.state, swap.release))} is being deployed and not that far`
    throw new GracerError(`there is no canary${doing}`, { code: 'no-canary', exitCode: 2, hint: 'Begin one: gracer swap --canary 5.' })
  }
  const label = labelOf(findRelease(runner.state, swap.release))
  if (!runner.canary.isJudging) {
    // It has no visitor yet. To end it needs nobody's judgement.
    if (order.type === 'abort') {
      runner.dispatch({ type: 'undo', release: swap.release, how: 'aborted', reason: 'the canary was aborted by command' })
      return await canaryOf(service, `${label} is taken back`)
    }
    throw new GracerError(`${label} has not begun: the release before it is still in its bake`, { code: 'canary-waits', exitCode: 4, hint: 'gracer status shows it; gracer canary abort ends it all the same.' })
  }
  runner.canary.order(order)
  return await canaryOf(service, said(order, label ?? swap.release))
}

function said(order: CanaryOrder, label: string): string {
  switch (order.type) {
    case 'set': return `${label} gets ${formatPercent(order.share)} of the visitors; the steps wait for gracer canary resume`
    case 'pause': return `${label} stays where it is; it is judged all the same`
    case 'resume': return `${label} goes on with its steps`
    case 'promote': return `${label} is on its way to all of the visitors`
    case 'abort': return `${label} is taken back`
  }
}

/** What a tester sends to choose a release. */
export function canaryToken(service: Service, wish: string, forMs: number): CanaryToken {
  const untilSeconds = Math.ceil((Date.now() + forMs) / 1000)
  const value = signOverride(service.runner.canary.secret(), wish, untilSeconds)
  return { schema: 1, service: service.name, wish, until: new Date(untilSeconds * 1000).toISOString(), header: `${overrideName}: ${value}`, cookie: `${overrideName}=${value}` }
}
