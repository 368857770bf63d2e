import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stageRelease } from '../support/drop.ts'
import type { GracerProcess } from '../support/gracer-process.ts'

/** What a hook of a test's release does; by default it ends well at once. */
export interface HookBehaviour {
  readonly exit?: number
  readonly says?: string
  /** Runs until this file lies in the build's folder. */
  readonly until?: string
  /** With `until`: takes no notice of SIGTERM, and leaves a child in its group. */
  readonly stubborn?: boolean
  /** A file to write into the build's folder. */
  readonly writes?: string
}

/** The hooks of a config whose releases were made by `hookedRelease`. */
export const hookConfig = { prepare: ['node', 'hook.mjs'], release: [['node', 'hook.mjs']], confirmed: [['node', 'hook.mjs']] }

const script = `
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { spawn } from 'node:child_process'
const hook = process.env.GRACER_HOOK
const behaviour = JSON.parse(readFileSync('hooks.json', 'utf8'))[hook] ?? {}
const note = (what) => appendFileSync('hooks.log', JSON.stringify({ hook, what, pid: process.pid, at: Date.now(), release: process.env.GRACER_RELEASE, stage: process.env.STAGE, cwd: process.cwd() }) + '\\n')
note('begun')
if (behaviour.stubborn) {
  process.on('SIGTERM', () => {})
  spawn(process.execPath, ['-e', 'process.on("SIGTERM", () => {}); setInterval(() => {}, 1000)'], { stdio: 'ignore' }).unref()
}
if (behaviour.says) console.log(behaviour.says)
if (behaviour.writes) writeFileSync(behaviour.writes, 'written by its hook')
while (behaviour.until && !existsSync(behaviour.until)) await new Promise((resolve) => setTimeout(resolve, 5))
note('ended')
process.exitCode = behaviour.exit ?? 0
`

/** Makes a release beside the drop folder whose hooks do what is said here. Returns its path. */
export async function hookedRelease(gracer: GracerProcess, name: string, hooks: Readonly<Record<string, HookBehaviour>> = {}): Promise<string> {
  const path = await stageRelease(gracer, name)
  writeFileSync(join(path, 'hook.mjs'), script)
  writeFileSync(join(path, 'hooks.json'), JSON.stringify(hooks))
  return path
}

export interface HookNote {
  readonly hook: string
  readonly what: 'begun' | 'ended'
  readonly pid: number
  readonly at: number
  readonly release: string
  readonly stage?: string
  readonly cwd: string
}

export function hookNotes(path: string): HookNote[] {
  const file = join(path, 'hooks.log')
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as HookNote) : []
}

/** Of each hook, how often it has begun. */
export function begun(path: string): Record<string, number> {
  const count: Record<string, number> = {}
  for (const note of hookNotes(path)) if (note.what === 'begun') count[note.hook] = (count[note.hook] ?? 0) + 1
  return count
}
