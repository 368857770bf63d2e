import type { Receipt } from '../control/shapes.ts'
import { contextOf, queryPath } from './context.ts'
import type { CommonOptions } from './options.ts'
import { writeData, writeJson } from './output.ts'
import { historyText } from './render-history.ts'

export interface HistoryOptions extends CommonOptions {
  readonly n: number
}

export async function runHistory(options: HistoryOptions): Promise<number> {
  const context = contextOf(options)
  const answer = await context.client.request<{ receipts: readonly Receipt[] }>('GET', queryPath('/v1/history', { service: context.service, n: String(options.n) }))
  if (options.json) await writeJson(answer)
  else await writeData(`${historyText(answer.receipts, context.width(), context.out)}\n`)
  return 0
}
