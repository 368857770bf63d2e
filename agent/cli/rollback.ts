import { contextOf } from './context.ts'
import type { CommonOptions } from './options.ts'
import { runOrder } from './run-order.ts'

export interface RollbackOptions extends CommonOptions {
  /** Name or number; absent: the release before the live one. */
  readonly release?: string
}

export async function runRollback(options: RollbackOptions): Promise<number> {
  const body = options.release === undefined ? {} : { release: options.release }
  return await runOrder(contextOf(options), { order: 'rollback', body, until: 'confirmed', wait: true })
}
