import type { Explanation } from '../control/shapes.ts'
import type { Palette } from './color.ts'
import { failureLines, receiptLines } from './render-swap.ts'
import { renderPairs } from './table.ts'
import { localTime, printable, releaseLabel } from './text.ts'

const chosen = { named: '', 'under-way': ', which is under way', 'failed-last': ', which was tried last', live: '', newest: ', which was tried last' } as const

/** Pure: the story of one release; its first line says what is live now. */
export function explanationText(explanation: Explanation, palette: Palette): string {
  const live = explanation.live === null ? 'nothing is live now' : `${printable(explanation.live)} is live now`
  const story = explanation.story.map(({ at, what }) => `  ${palette.dim(localTime(at))}  ${printable(what)}`)
  return [
    `${palette.strong(live)}; ${releaseLabel(explanation.release, explanation.name)} of ${explanation.service}${chosen[explanation.why]}: ${explanation.state}`,
    ...story,
    ...(explanation.failure === null ? [] : failureLines(explanation.failure, palette)),
    ...(explanation.receipt === null ? [] : receiptLines(explanation.receipt, palette, explanation.failure?.message ?? null)),
    ...renderPairs([['next', printable(explanation.next)]]),
  ].join('\n')
}
