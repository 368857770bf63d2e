import { fit } from './text.ts'

export interface Column {
  readonly title: string
  readonly align: 'left' | 'right'
  /** Columns of the lowest rank are left out first where the terminal is too narrow; 0 is never left out. */
  readonly rank: number
}

const gap = '  '

/** Lines of a table with a heading, none wider than `width`; the widest text column is shortened before one is left out. */
export function renderTable(columns: readonly Column[], rows: readonly (readonly string[])[], width: number): readonly string[] {
  let shown = columns.map((_, index) => index)
  const natural = columns.map((column, index) => Math.max(column.title.length, ...rows.map((row) => [...(row[index] ?? '')].length)))
  const widths = [...natural]
  const total = (): number => shown.reduce((sum, index) => sum + (widths[index] ?? 0), 0) + gap.length * (shown.length - 1)
  while (total() > width) {
    const text = shown.filter((index) => columns[index]?.align === 'left').sort((a, b) => (widths[b] ?? 0) - (widths[a] ?? 0))[0]
    if (text !== undefined && (widths[text] ?? 0) > 12) {
      widths[text] = Math.max(12, (widths[text] ?? 0) - (total() - width))
      continue
    }
    const droppable = shown.filter((index) => (columns[index]?.rank ?? 0) > 0).sort((a, b) => (columns[b]?.rank ?? 0) - (columns[a]?.rank ?? 0))[0]
    if (droppable === undefined) break
    shown = shown.filter((index) => index !== droppable)
    for (const index of shown) widths[index] = natural[index] ?? 0
  }
  const line = (cells: readonly string[]): string =>
    fit(
      shown
        .map((index) => {
          const size = widths[index] ?? 0
          const cell = fit(cells[index] ?? '', size)
          return columns[index]?.align === 'right' ? cell.padStart(size) : cell.padEnd(size)
        })
        .join(gap)
        .trimEnd(),
      width,
    )
  return [line(columns.map((column) => column.title)), ...rows.map((row) => line(row))]
}

/** Lines of "  label  value", the values aligned. */
export function renderPairs(pairs: readonly (readonly [string, string])[]): readonly string[] {
  const size = Math.max(0, ...pairs.map(([label]) => label.length))
  return pairs.map(([label, value]) => `  ${label.padEnd(size)}  ${value}`.trimEnd())
}
