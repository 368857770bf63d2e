import { GracerError } from '../../inherit/gracer-error.ts'
import type { MasterLink } from '../master-link.ts'
import type { Service } from '../service/service.ts'
import { stateOf } from '../swap/state.ts'
import { metricsText, type MetricsService } from './metrics-text.ts'

/** All figures as of now, as text. @throws GracerError 'no-figures' where the master does not answer. */
export async function collectMetrics(link: MasterLink, services: readonly Service[], version: string): Promise<string> {
  const figures = await link.figures()
  if (figures === null) throw new GracerError('the master does not answer; its figures are not known', { code: 'no-figures', hint: 'Try again: it is busy, or is being replaced.' })
  return metricsText({ version, figures, services: services.map(factsOf) })
}

function factsOf({ name, runner: { state, teller: { totals } } }: Service): MetricsService {
  return {
    name,
    running: state.releases.filter((record) => record.process !== null).map((record) => ({ id: record.id, name: record.name, state: stateOf(state, record) })),
    outcomes: totals.outcomes,
    restarts: totals.restarts,
  }
}
