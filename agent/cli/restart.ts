import { contextOf } from './context.ts'
import type { CommonOptions } from './options.ts'
import { runOrder } from './run-order.ts'

export async function runRestart(options: CommonOptions): Promise<number> {
  return await runOrder(contextOf(options), { order: 'restart', body: {}, until: 'confirmed', wait: true })
}
