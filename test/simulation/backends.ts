import type { BackendInfo, ToAgent } from '../../proxy/messages.ts'
import { numberOfKey, releaseKey, type ReleaseId } from '../../proxy/release-key.ts'
import { latency } from './network.ts'
import type { SimProcess } from './process.ts'
import type { SimBackend } from './sim-backend.ts'
import type { World } from './world.ts'

/** The master's list of backends: it starts them, signals them, and says when they have ended. */
export class Backends {
  readonly #world: World
  readonly #master: SimProcess
  readonly #tell: (message: ToAgent) => void
  readonly #backends = new Map<ReleaseId, SimBackend>()

  /** @param inherited what a dead master left running */
  constructor(world: World, master: SimProcess, inherited: readonly SimBackend[], tell: (message: ToAgent) => void) {
    this.#world = world
    this.#master = master
    this.#tell = tell
    for (const backend of inherited) this.#mind(backend)
  }

  list(): BackendInfo[] {
    return [...this.#backends].map(([release, one]) => ({ service: one.service, release, pid: one.pid, port: one.port, adopted: false }))
  }

  spawn(service: string, release: ReleaseId): void {
    const world = this.#world
    if (this.#backends.has(release)) {
      world.note(`master does not start ${release}: it runs already`)
      this.#tell({ type: 'spawn-failed', release, code: 'already-running', message: `a process of release ${release} runs already`, hint: null })
      return
    }
    const backend = world.startBackend(service, numberOfKey(release))
    this.#mind(backend)
    world.note(`master starts ${backend.name} on port ${backend.port}`)
    this.#tell({ type: 'spawned', release, pid: backend.pid, port: backend.port })
  }

  /** @param epoch of the agent that ordered it; null: gracer is going down */
  signal(release: ReleaseId, signal: 'SIGTERM' | 'SIGKILL', epoch: number | null): void {
    const backend = this.#backends.get(release)
    if (backend?.alive !== true) return
    this.#world.note(`master sends ${signal} to ${backend.name}`)
    this.#world.checks.signalled(backend, signal, epoch)
    backend.signal(signal)
  }

  #mind(backend: SimBackend): void {
    const release = releaseKey(backend.service, backend.id)
    const { clock, random } = this.#world
    this.#backends.set(release, backend)
    backend.onDeath(() => clock.after(latency(random), this.#master, () => {
      if (this.#backends.get(release) === backend) this.#backends.delete(release)
      this.#tell({ type: 'exited', release, pid: backend.pid, code: null, signal: null })
    }))
  }
}
