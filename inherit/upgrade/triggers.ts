import type { SignalName } from './serve-options.ts'

export interface TriggerActions {
  upgrade(signal: SignalName): void
  /** Drain and leave; called again: at once. */
  leave(signal: SignalName): void
}

/** Listens for the signals; the result takes the listeners away again. */
export function onSignals(signals: ReadonlySet<SignalName>, actions: TriggerActions): () => void {
  const listeners = [...signals].map((signal) => {
    const act = (): void => (signal === 'SIGUSR2' || signal === 'SIGHUP' ? actions.upgrade(signal) : actions.leave(signal))
    process.on(signal, act)
    return () => void process.off(signal, act)
  })
  return () => {
    for (const remove of listeners) remove()
  }
}
