import type { ControlEvent } from '../control/handlers.ts'

export type Listener = (event: ControlEvent) => void

/** Who is to be told what: commands that wait for a release's outcome, and those that watch everything. */
export class Audience {
  readonly #everything = new Set<Listener>()
  readonly #commands = new Map<number, Listener>()
  readonly #followers = new Map<string, Set<Listener>>()
  #next = 1

  /** Until the returned function is called. */
  watch(listener: Listener): () => void {
    this.#everything.add(listener)
    return () => this.#everything.delete(listener)
  }

  /** A command that will be answered, or made to follow a release. */
  command(listener: Listener): number {
    const id = this.#next
    this.#next += 1
    this.#commands.set(id, listener)
    return id
  }

  follow(command: number, release: string): void {
    const listener = this.#commands.get(command)
    if (listener === undefined) return
    this.#commands.delete(command)
    const followers = this.#followers.get(release) ?? new Set()
    followers.add(listener)
    this.#followers.set(release, followers)
  }

  answer(command: number, event: ControlEvent): void {
    this.#commands.get(command)?.(event)
    this.#commands.delete(command)
  }

  /** Tells the followers of the release and those who watch everything; an outcome ends the following. */
  tell(release: string, event: ControlEvent): void {
    for (const listener of this.#followers.get(release) ?? []) listener(event)
    for (const listener of this.#everything) listener(event)
    if (event.kind === 'outcome') this.#followers.delete(release)
  }
}
