const factors: Readonly<Record<string, number>> = Object.freeze({ B: 1, KB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12, KIB: 2 ** 10, MIB: 2 ** 20, GIB: 2 ** 30, TIB: 2 ** 40 })

export const largestSize = 16 * 2 ** 40

/** "500MB" and "2GiB" in bytes; undefined where the text is no size. MB are millions, MiB are 1024 times 1024. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d{1,15}(?:\.\d{1,3})?)\s?([KMGT]i?B|B)$/i.exec(text)
  if (match === null) return undefined
  return Math.floor(Number(match[1]) * (factors[(match[2] ?? 'B').toUpperCase()] ?? 1))
}

/** In the largest unit that leaves a number of 1 or above: "2 GiB", "1.5 MiB", "312 B". */
export function formatSize(bytes: number): string {
  for (const [unit, size] of [['TiB', 2 ** 40], ['GiB', 2 ** 30], ['MiB', 2 ** 20], ['KiB', 2 ** 10]] as const) {
    if (bytes >= size) return `${Math.round((bytes / size) * 10) / 10} ${unit}`
  }
  return `${bytes} B`
}
