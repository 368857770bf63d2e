/** Polls until `condition` gives something truthy; throws what was awaited when the deadline passes. Milliseconds. */
export async function until<T>(what: string, condition: () => T | Promise<T>, deadlineMs = 10_000, pollMs = 5): Promise<NonNullable<T>> {
  const deadline = performance.now() + deadlineMs
  for (;;) {
    const found = await condition()
    if (found !== null && found !== undefined && found !== false) return found as NonNullable<T>
    if (performance.now() > deadline) throw new Error(`waited ${deadlineMs} ms in vain for: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, pollMs))
  }
}
