import type { Receipt } from '../control/shapes.ts'
import type { Palette } from './color.ts'
import { renderTable } from './table.ts'
import type { Column } from './table.ts'
import { localTime, printable, took } from './text.ts'

const columns: readonly Column[] = [
  { title: 'STARTED', align: 'left', rank: 3 },
  { title: 'RELEASE', align: 'left', rank: 0 },
  { title: 'NAME', align: 'left', rank: 2 },
  { title: 'OUTCOME', align: 'left', rank: 0 },
  { title: 'TO FLIP', align: 'right', rank: 4 },
  { title: 'CUT', align: 'right', rank: 6 },
  { title: 'LOST', align: 'right', rank: 1 },
  { title: 'VIOLATIONS', align: 'right', rank: 7 },
  { title: 'REASON', align: 'left', rank: 5 },
]

/** Pure: receipts as a table, newest first. */
export function historyText(receipts: readonly Receipt[], width: number, palette: Palette): string {
  if (receipts.length === 0) return 'no swap yet'
  const rows = receipts.map((receipt) => [
    localTime(receipt.startedAt),
    receipt.release,
    printable(receipt.name ?? '-'),
    receipt.outcome,
    toFlip(receipt),
    String(receipt.cut),
    String(receipt.lost),
    String(receipt.violations),
    printable(receipt.reason ?? ''),
  ])
  const [heading = '', ...lines] = renderTable(columns, rows, width)
  return [palette.dim(heading), ...lines.map((line, index) => (receipts[index]?.outcome === 'confirmed' ? line : palette.warn(line)))].join('\n')
}

function toFlip({ phasesMs }: Receipt): string {
  if (phasesMs.flip === null) return '-'
  return took((phasesMs.takeIn ?? 0) + (phasesMs.boot ?? 0) + (phasesMs.health ?? 0) + phasesMs.flip)
}
