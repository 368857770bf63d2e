/**
 * The known name nearest to what was written, for "did you mean"; undefined where nothing is near enough.
 * Optimal string alignment distance: a swapped pair counts as one slip, upper and lower case as none.
 */
export function nearest(written: string, known: readonly string[]): string | undefined {
  const target = written.toLowerCase()
  const reach = Math.max(1, Math.floor(Math.min(written.length, 12) / 3) + 1)
  let best: { readonly name: string; readonly distance: number } | undefined
  for (const name of known) {
    const distance = slips(target.slice(0, 64), name.toLowerCase())
    if (distance <= reach && distance < name.length && (best === undefined || distance < best.distance)) best = { name, distance }
  }
  return best?.name
}

function slips(a: string, b: string): number {
  let beforePrevious: number[] = []
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1]
      let least = Math.min((previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1, (previous[column - 1] ?? 0) + (same ? 0 : 1))
      const swapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]
      if (swapped) least = Math.min(least, (beforePrevious[column - 2] ?? 0) + 1)
      current.push(least)
    }
    beforePrevious = previous
    previous = current
  }
  return previous[b.length] ?? 0
}
