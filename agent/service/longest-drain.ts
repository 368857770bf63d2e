import type { DrainDeadlines } from '../../proxy/messages.ts'
import type { ServiceConfig } from '../config/types.ts'

/** What a worker needs that leaves with all it has, whatever services it has it of: the longest of each. */
export function longestDrain(services: readonly ServiceConfig[]): { readonly deadlines: DrainDeadlines; readonly stopMs: number } {
  const longest = (field: keyof ServiceConfig['drain']): number => Math.max(...services.map((service) => service.drain[field]))
  return {
    deadlines: { timeoutMs: longest('timeoutMs'), streamsMs: longest('streamsMs'), upgradedMs: longest('upgradedMs'), spreadMs: longest('spreadMs') },
    stopMs: longest('stopMs'),
  }
}
