import type { DrainReport } from '../soft-drain.ts'
import type { ServeSettings } from './serve-options.ts'

/** How long onClose may take. */
const closeMs = 10_000

/** Calls onDrain. A failure of it, also of a promise that it returns, must not end a process that still answers. */
export function beginDrain({ onDrain, log }: ServeSettings): void {
  void (async () => await onDrain())().catch((error: unknown) => log(`onDrain failed: ${(error as Error).message}`))
}

/** What the program itself has to end. Resolves in any case: a failure there must not keep the process. */
export async function afterDrain({ onClose, log }: ServeSettings, report: DrainReport): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(() => {
      log(`onClose has not come to its end within ${closeMs} ms; leaving without it`)
      resolve()
    }, closeMs)
  })
  try {
    await Promise.race([onClose(report), late])
  } catch (error) {
    log(`onClose failed: ${(error as Error).message}`)
  } finally {
    clearTimeout(timer)
  }
}
