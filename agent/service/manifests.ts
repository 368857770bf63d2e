import { existsSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { GracerError } from '../../inherit/gracer-error.ts'
import { diffManifests, takeManifest, type Manifest, type ManifestDifference, type ManifestOptions } from '../drops/manifest.ts'
import type { ReleaseRecord } from '../swap/state.ts'

const mostFiles = 200_000

export interface ManifestsOptions {
  readonly folder: string
  /** The releases that were booted from the same folder before this one, oldest first. */
  readonly earlier: (record: ReleaseRecord) => readonly string[]
}

/**
 * What drops were made of when they were taken in. A directory runs where it lies, so it can change afterwards: by a
 * copy that goes on, or an edit. What its own releases write beside that (logs, caches, a database) is their affair:
 * only what lay there when the folder was first taken in is compared.
 */
export class Manifests {
  readonly #options: ManifestsOptions
  readonly #taking = new Map<string, Promise<Manifest | GracerError>>()

  constructor(options: ManifestsOptions) {
    this.#options = options
    mkdirSync(options.folder, { recursive: true, mode: 0o700 })
  }

  /** Begins to take down a drop, beside its boot: it need not be known before the health check has passed. `releases`: the drop folder. */
  take(record: ReleaseRecord, source: string, releases: string | null): void {
    if (record.dropKey === null) return
    this.#taking.set(record.id, this.#takeDown(record, source, releases).catch(asGracerError))
  }

  /** Takes it down once more: its own hooks have changed it since. */
  takeAgain(record: ReleaseRecord, source: string, releases: string | null): void {
    if (record.dropKey === null) return
    const before = this.#taking.get(record.id) ?? Promise.resolve()
    this.#taking.set(record.id, before.then(() => this.#takeDown(record, source, releases)).catch(asGracerError))
  }

  forget(release: string): void {
    this.#taking.delete(release)
  }

  /** Null where the drop is still what was taken in. @throws what takeManifest throws, then as now. */
  async changeSinceTakeIn(record: ReleaseRecord, releases: string | null): Promise<string | null> {
    if (record.dropKey === null) return null
    const taken = await (this.#taking.get(record.id) ?? this.#read(record.id))
    if (taken instanceof GracerError) throw taken
    return taken === null ? null : this.#change(taken, record.source, releases)
  }

  /** A later boot of a drop (a rollback) must find what was taken in then. @throws GracerError 'drop-changed' */
  async checkUnchanged(record: ReleaseRecord, source: string, releases: string | null): Promise<void> {
    const then = record.everConfirmed && record.dropKey !== null ? this.#read(record.id) : null
    const change = then === null ? null : await this.#change(then, source, releases)
    if (change === null) return
    throw new GracerError(`the folder of ${record.name ?? record.id} is not what it was when it was live: ${change}`, {
      code: 'drop-changed', hint: `To deploy it as it is now, name it: gracer swap ${record.name ?? record.source}`,
    })
  }

  async #takeDown(record: ReleaseRecord, source: string, releases: string | null): Promise<Manifest> {
    const all = await takeManifest(source, optionsFor(releases))
    const first = [...this.#options.earlier(record), record.id].find((release) => existsSync(this.#file(release)))
    const made = first === undefined ? null : this.#read(first)
    const paths = made === null ? null : new Set(made.entries.map((entry) => entry.path))
    const taken = paths === null ? all : { ...all, entries: all.entries.filter((entry) => paths.has(entry.path)) }
    writeFileSync(this.#file(record.id), JSON.stringify(taken), { mode: 0o600 })
    return taken
  }

  async #change(then: Manifest, source: string, releases: string | null): Promise<string | null> {
    const difference = diffManifests(then, await takeManifest(source, optionsFor(releases)))
    return difference === null ? null : told(difference)
  }

  #file(release: string): string {
    return join(this.#options.folder, `${release}.json`)
  }

  #read(release: string): Manifest | null {
    try {
      return JSON.parse(readFileSync(this.#file(release), 'utf8')) as Manifest
    } catch {
      // None was taken, or it was cut off by a crash: then nothing can be said against the folder.
      return null
    }
  }
}

/** The Capistrano way: what outlives a release lies in `shared`, in the watched folder or beside it, and is linked from there. */
function optionsFor(releases: string | null): ManifestOptions {
  const shared = releases === null ? [] : [join(releases, 'shared'), join(dirname(releases), 'shared')]
  return { maxFiles: mostFiles, alsoInside: shared.filter((path) => existsSync(path)).map((path) => realpathSync(path)) }
}

/** Files that were added say nothing: a release may write beside what it was made of. */
function told({ changed, removed, counts }: ManifestDifference): string | null {
  const parts = [['changed', changed, counts.changed], ['removed', removed, counts.removed]] as const
  const text = parts.filter(([, , count]) => count > 0).map(([word, paths, count]) => `${count} ${word} (${paths.map((path) => JSON.stringify(path)).join(', ')}${count > paths.length ? ', …' : ''})`)
  return text.length === 0 ? null : text.join(', ')
}

function asGracerError(error: unknown): GracerError {
  return error instanceof GracerError ? error : new GracerError((error as Error).message, { code: 'take-in-failed', cause: error })
}
