import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import ignore, { type Ignore } from 'ignore'

/** Of no interest to anybody's program. */
const neverFolders: ReadonlySet<string> = new Set(['node_modules', 'bower_components', '.git', '.hg', '.svn', '.gracer'])
/** What builds and tools write; watched only where the command itself runs from there. */
const outputFolders: ReadonlySet<string> = new Set(['dist', 'build', 'out', 'coverage', 'tmp', 'logs', '__pycache__'])
/** Left by editors while they save, by operating systems, and by programs as they run. */
const litter = /^(?:\.DS_Store|Thumbs\.db|4913|\.#.*|#.*#|.*~|.*\.(?:sw[a-z]|tmp|temp|part|crdownload|pid|lock|log|sqlite3?|db|db3|sqlite3?-(?:journal|wal|shm)|db-(?:journal|wal|shm)|tsbuildinfo)|.*___jb_(?:tmp|old)___|sed[A-Za-z0-9]{6}|\.goutputstream-.*|npm-debug\.log.*)$/

export interface RulesOptions {
  /** The folder of the app. */
  readonly folder: string
  /** More patterns, as in .gitignore, relative to the folder. */
  readonly ignore: readonly string[]
  /** Watched whatever else is said: where the command's own file lies, and files that gracer reads itself. */
  readonly keep: readonly string[]
  /** False: .gitignore files and the names of output folders do not count. */
  readonly defaults: boolean
}

/** Which paths are watched. */
export class IgnoreRules {
  readonly #folder: string
  readonly #own: Ignore
  readonly #keep: readonly string[]
  readonly #defaults: boolean
  readonly #above: readonly GitRules[]
  readonly #byFolder = new Map<string, Ignore | null>()

  constructor(options: RulesOptions) {
    this.#folder = options.folder
    this.#own = ignore().add(options.ignore)
    this.#keep = options.keep
    this.#defaults = options.defaults
    this.#above = options.defaults ? rulesAbove(options.folder) : []
  }

  /** `path` is absolute. */
  ignores(path: string, isFolder: boolean): boolean {
    const name = path.slice(path.lastIndexOf(sep) + 1)
    const below = relative(this.#folder, path)
    const inside = below !== '' && !below.startsWith('..')
    if (inside && this.#own.ignores(shown(below, isFolder))) return true
    if (path === this.#folder) return false
    const kept = this.#keep.find((one) => path === one || path.startsWith(one + sep))
    if (kept !== undefined) return relative(kept, path).split(sep).some((part) => neverFolders.has(part)) || (!isFolder && path !== kept && litter.test(name))
    if (isFolder && this.#keep.some((one) => one.startsWith(path + sep))) return false
    if (isFolder ? neverFolders.has(name) || name.startsWith('.') : litter.test(name)) return true
    if (!this.#defaults) return false
    // Environment files are named in most .gitignore files, and most apps read them.
    if (!isFolder && /^\.env(?:\.|$)/.test(name)) return false
    if (isFolder && outputFolders.has(name)) return true
    return inside && this.#gitIgnores(below, path, isFolder)
  }

  /** A .gitignore has changed. */
  forget(): void {
    this.#byFolder.clear()
  }

  #gitIgnores(below: string, path: string, isFolder: boolean): boolean {
    for (const { folder, rules } of this.#above) if (rules.ignores(shown(relative(folder, path), isFolder))) return true
    // From the folder down to the one that holds the path: the nearest that says anything decides.
    let verdict = false
    let folder = this.#folder
    const parts = below.split(sep)
    for (let depth = 0; depth < parts.length; depth += 1) {
      const rules = this.#rulesOf(folder)
      const result = rules?.test(shown(parts.slice(depth).join(sep), isFolder))
      if (result?.ignored === true) verdict = true
      else if (result?.unignored === true) verdict = false
      folder = join(folder, parts[depth] as string)
    }
    return verdict
  }

  #rulesOf(folder: string): Ignore | null {
    let rules = this.#byFolder.get(folder)
    if (rules === undefined) {
      rules = readRules(folder)
      this.#byFolder.set(folder, rules)
    }
    return rules
  }
}

interface GitRules {
  readonly folder: string
  readonly rules: Ignore
}

/** The .gitignore files above the folder, up to the top of its repository. */
function rulesAbove(folder: string): GitRules[] {
  const found: GitRules[] = []
  let at = folder
  while (!existsSync(join(at, '.git'))) {
    const above = dirname(at)
    if (above === at) return []
    at = above
    const rules = readRules(at)
    if (rules !== null) found.push({ folder: at, rules })
  }
  return found
}

function readRules(folder: string): Ignore | null {
  try {
    return ignore().add(readFileSync(join(folder, '.gitignore'), 'utf8'))
  } catch {
    return null
  }
}

/** As `ignore` wants it: with slashes, and one at the end of a folder. */
function shown(below: string, isFolder: boolean): string {
  return `${below.split(sep).join('/')}${isFolder ? '/' : ''}`
}
