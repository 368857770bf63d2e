import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { GracerError } from '../../inherit/gracer-error.ts'

/** An installed version of gracer: what its parts are started from. */
export interface Installation {
  /** The real path of the package's folder. */
  readonly root: string
  readonly version: string
  readonly workerEntry: string
  readonly agentEntry: string
}

/** What a master consists of, below dist/: when none of it has changed, a new version needs no new master. */
const masterFolders = ['inherit', 'proxy', 'proxy/master'] as const

/**
 * Looks at a folder that should hold gracer, built.
 * @throws GracerError 'not-an-installation' (exit 2), where it does not.
 */
export function readInstallation(folder: string): Installation {
  let root: string
  let manifest: { name?: unknown; version?: unknown }
  try {
    root = realpathSync(folder)
    manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { name?: unknown; version?: unknown }
  } catch (cause) {
    throw notOne(folder, `its package.json cannot be read (${(cause as NodeJS.ErrnoException).code ?? 'no JSON'})`, cause)
  }
  if (manifest.name !== 'gracer' || typeof manifest.version !== 'string') throw notOne(folder, `its package.json is that of ${JSON.stringify(manifest.name ?? null)}`)
  const found = { root, version: manifest.version, workerEntry: join(root, 'dist', 'proxy', 'worker', 'main.js'), agentEntry: join(root, 'dist', 'agent', 'main.js') }
  for (const entry of [found.workerEntry, found.agentEntry]) {
    try {
      readFileSync(entry)
    } catch (cause) {
      throw notOne(folder, `${entry} cannot be read: it was not built, or only half installed`, cause)
    }
  }
  return found
}

/** Names the code that a master runs. An installation may be replaced in place, so a master asks this at its start. */
export function masterCode(root: string): string {
  const hash = createHash('sha256')
  for (const folder of masterFolders) {
    const path = join(root, 'dist', folder)
    for (const name of readdirSync(path).filter((one) => one.endsWith('.js')).sort()) hash.update(`${folder}/${name}\0`).update(readFileSync(join(path, name)))
  }
  return hash.digest('hex')
}

function notOne(folder: string, why: string, cause?: unknown): GracerError {
  return new GracerError(`${folder} holds no gracer that could be started: ${why}`, {
    code: 'not-an-installation', exitCode: 2, cause, hint: 'Name the folder of the package, such as node_modules/gracer, once its installation is complete.',
  })
}
