export interface Spread {
  readonly min: number
  readonly median: number
  readonly max: number
}

/** To a tenth. */
export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b)
  const round = (value: number | undefined): number => Math.round((value ?? NaN) * 10) / 10
  return { min: round(sorted[0]), median: round(sorted[Math.floor(sorted.length / 2)]), max: round(sorted.at(-1)) }
}
