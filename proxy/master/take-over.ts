import type { BareSocket } from '../../inherit/bare-socket.ts'

/** How long a new master waits for its agent to settle what was left, and for its workers to boot, while the old ones serve. */
const preparedMs = 5_000
/** How long the old workers may take to let go of the port. */
const releaseMs = 5_000

export interface TakeOver {
  /** The agent has settled what they would serve next, and the new workers wait. */
  readonly prepared: Promise<unknown>
  /** Tells the workers of the master that died to let go of the port. */
  readonly letGo: () => void
  readonly bind: () => BareSocket
}

/**
 * The port of a master that died, from the workers that still serve on it: they serve until all is prepared, then let go,
 * and it is bound. Where the socket was passed down by a supervisor `bind` has it at once.
 * @throws what `bind` throws, once the old workers have had 5 s to let go.
 */
export async function takePortOver({ prepared, letGo, bind }: TakeOver): Promise<BareSocket> {
  await Promise.race([prepared, new Promise((resolve) => setTimeout(resolve, preparedMs))])
  letGo()
  for (const deadline = performance.now() + releaseMs; ; ) {
    try {
      return bind()
    } catch (error) {
      if (performance.now() > deadline) throw error
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  }
}
