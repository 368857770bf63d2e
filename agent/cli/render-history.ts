import type { Receipt } from '../control/shapes.ts'
import type { Palette } from './color.ts'
import { renderTable } from './table.ts'
import type { Column } from './table.ts'
import { localTime, printable, releaseLabel, took, wrap } from './text.ts'

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

/** Below so many columns a table leaves too much out. */
const narrow = 72

/** Pure: receipts as a table, newest first. */
export function historyText(receipts: readonly Receipt[], width: number, palette: Palette): string {
  if (receipts.length === 0) return 'no swap yet'
  if (width < narrow) return receipts.map((receipt) => block(receipt, width, palette)).join('\n')
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

/** A receipt in lines of its own. */
function block(receipt: Receipt, width: number, palette: Palette): string {
  const { release, name, outcome, startedAt, cut, lost, violations, reason } = receipt
  const head = `${releaseLabel(release, name)}: ${outcome}`
  const facts = [localTime(startedAt), ...(toFlip(receipt) === '-' ? [] : [`to flip ${toFlip(receipt)}`]), `cut ${cut}, lost ${lost}, violations ${violations}`]
  const lines = [outcome === 'confirmed' ? head : palette.warn(head), `  ${facts.join('; ')}`, ...(reason === null ? [] : [`  ${printable(reason)}`])]
  return wrap(lines.join('\n'), width)
}

function toFlip({ phasesMs }: Receipt): string {
  if (phasesMs.flip === null) return '-'
  return took((phasesMs.takeIn ?? 0) + (phasesMs.boot ?? 0) + (phasesMs.health ?? 0) + phasesMs.flip)
}
