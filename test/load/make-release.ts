import { copyFile, mkdir, writeFile } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

export type AppName = 'app' | 'express' | 'fastify' | 'python' | 'port-only'

/** What a release may be ordered to do wrong; see readBehaviour() in test/apps/load-contract.mjs. Node apps only. */
export interface Behaviour {
  readonly crashAtBoot?: boolean
  readonly neverListens?: boolean
  readonly listenAfterMs?: number
  readonly fail?: 'all' | 'health' | 'public'
  readonly failAfterMs?: number
  readonly failAfterRequests?: number
  readonly redirectTo?: string
  readonly exitAfterMs?: number
  readonly exitCode?: number
  readonly keepAliveTimeoutMs?: number
  readonly ignoreSigterm?: boolean
  readonly doubleFork?: boolean
}

export interface MadeRelease {
  readonly path: string
  readonly name: string
  /** To be run with `path` as its folder: `node server.mjs` or `python3 server.py`. */
  readonly command: readonly [string, string]
}

/** Where the apps are, seen from the sources and from dist/ alike: they are never built. */
export const appsFolder = [resolve(import.meta.dirname, '../apps'), resolve(import.meta.dirname, '../../../test/apps')]
  .find((folder) => existsSync(join(folder, 'load-contract.mjs'))) ?? resolve(import.meta.dirname, '../apps')

/**
 * Writes a release folder `dir/name` in place: a script that runs the app, release.txt, and behaviour.json where one
 * is given. A test that wants a drop to arrive whole makes it elsewhere and renames it.
 */
export async function makeRelease(dir: string, name: string, options: { app?: AppName; behaviour?: Behaviour } = {}): Promise<MadeRelease> {
  const app = options.app ?? 'app'
  const path = join(dir, name)
  await mkdir(path, { recursive: true })
  await writeFile(join(path, 'release.txt'), `${name}\n`)
  if (options.behaviour !== undefined) await writeFile(join(path, 'behaviour.json'), JSON.stringify(options.behaviour))
  if (app === 'python' || app === 'port-only') {
    await copyFile(join(appsFolder, `load-${app}.py`), join(path, 'server.py'))
    return { path, name, command: ['python3', 'server.py'] }
  }
  const script = pathToFileURL(join(appsFolder, app === 'app' ? 'load-app.mjs' : `load-${app}.mjs`)).href
  await writeFile(join(path, 'server.mjs'), `import ${JSON.stringify(script)}\n`)
  return { path, name, command: ['node', 'server.mjs'] }
}
