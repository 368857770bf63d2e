import { realpathSync, type FSWatcher, type watch } from 'node:fs'
import { basename, dirname } from 'node:path'

interface Place {
  readonly watcher: FSWatcher
  /** Links into this folder, by what they name there. */
  readonly links: Map<string, Set<string>>
}

/**
 * Links to single files that lie outside of what is watched: the folder of the file is listened to, because editors put a
 * new file in the place of the old one.
 */
export class Links {
  readonly #open: typeof watch
  readonly #changed: (link: string) => void
  readonly #failed: (path: string, error: NodeJS.ErrnoException) => void
  readonly #places = new Map<string, Place>()

  constructor(open: typeof watch, changed: (link: string) => void, failed: (path: string, error: NodeJS.ErrnoException) => void) {
    this.#open = open
    this.#changed = changed
    this.#failed = failed
  }

  found(link: string): void {
    try {
      const target = realpathSync(link)
      const names = this.#placeOf(dirname(target)).links
      const name = basename(target)
      names.set(name, new Set([...(names.get(name) ?? []), link]))
    } catch (error) {
      // Where it leads nowhere any more the folder of the link itself tells of it.
      this.#failed(link, error as NodeJS.ErrnoException)
    }
  }

  close(): void {
    for (const { watcher } of this.#places.values()) watcher.close()
    this.#places.clear()
  }

  #placeOf(folder: string): Place {
    const known = this.#places.get(folder)
    if (known !== undefined) return known
    const links: Place['links'] = new Map()
    const watcher = this.#open(folder, (_type, name) => {
      const all = name === null ? [...links.values()] : [links.get(name) ?? new Set<string>()]
      for (const link of all.flatMap((some) => [...some])) this.#changed(link)
    })
    watcher.on('error', (error) => this.#failed(folder, error as NodeJS.ErrnoException))
    const place = { watcher, links }
    this.#places.set(folder, place)
    return place
  }
}
