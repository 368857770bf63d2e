import { rename, utimes } from 'node:fs/promises'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { makeRelease, type AppName, type Behaviour } from '../load/make-release.ts'
import { until } from './deadline.ts'
import type { GracerProcess } from './gracer-process.ts'

/** Old enough that a move into the folder is recognised as one (design, section 5: 250 ms). */
const oldEnoughMs = 300

/** Makes a release outside the drop folder, waits until its birth lies far enough back, and moves it in. Resolves at the rename. */
export async function dropRelease(gracer: GracerProcess, name: string, options: { app?: AppName; behaviour?: Behaviour } = {}): Promise<bigint> {
  const made = await stageRelease(gracer, name, options)
  return moveIn(gracer, made, name)
}

export async function stageRelease(gracer: GracerProcess, name: string, options: { app?: AppName; behaviour?: Behaviour } = {}): Promise<string> {
  const made = await makeRelease(join(gracer.folder, 'staging'), name, options)
  return made.path
}

export async function moveIn(gracer: GracerProcess, path: string, name: string): Promise<bigint> {
  await until('the build to be old enough to be seen as moved in', () => Date.now() - statSync(path).birthtimeMs > oldEnoughMs)
  await rename(path, join(gracer.releases, name))
  return process.hrtime.bigint()
}

/** Puts a release into the drop folder before gracer starts. */
export async function firstRelease(gracer: GracerProcess, name: string, options: { app?: AppName; behaviour?: Behaviour } = {}): Promise<void> {
  const made = await makeRelease(gracer.releases, name, options)
  // Untouched for longer than `settle`, so that it is whole at the start.
  const past = new Date(Date.now() - 60_000)
  await utimes(made.path, past, past)
}
