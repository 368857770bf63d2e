import { resolve } from 'node:path'
import type { SwapRequest, Until } from '../control/shapes.ts'
import { contextOf } from './context.ts'
import type { CommonOptions } from './options.ts'
import { runOrder } from './run-order.ts'

export interface SwapOptions extends CommonOptions {
  /** A release's name or number, or a path. */
  readonly target?: string
  readonly until: Until
  readonly timeoutMs?: number
  readonly canary?: number | 'none'
  readonly supersede: boolean
  readonly dryRun: boolean
  readonly wait: boolean
}

export async function runSwap(options: SwapOptions): Promise<number> {
  const body: SwapRequest = {
    ...(options.target === undefined ? {} : { target: targetOf(options.target, process.cwd()) }),
    ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }),
    ...(options.canary === undefined ? {} : { canary: options.canary }),
    ...(options.supersede ? { supersede: true } : {}),
    ...(options.dryRun ? { dryRun: true } : {}),
  }
  return await runOrder(contextOf(options), { order: 'swap', body, until: options.until, wait: options.wait })
}

/** What looks like a name is one; everything else is a path, which the agent can only follow when it is absolute. */
export function targetOf(written: string, cwd: string): string {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(written) ? written : resolve(cwd, written)
}
