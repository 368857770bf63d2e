import type { Explanation } from '../control/shapes.ts'
import { contextOf, queryPath } from './context.ts'
import type { CommonOptions } from './options.ts'
import { writeJson, writeText } from './output.ts'
import { explanationText } from './render-explain.ts'

export interface ExplainOptions extends CommonOptions {
  readonly release?: string
}

export async function runExplain(options: ExplainOptions): Promise<number> {
  const context = contextOf(options)
  const explanation = await context.client.request<Explanation>('GET', queryPath('/v1/explain', { service: context.service, release: options.release }))
  if (options.json) await writeJson(explanation)
  else await writeText(explanationText(explanation, context.out))
  return 0
}
