import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { lstat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterEach } from 'vitest'
import { watchReleases } from '../../agent/drops/folder-watch.ts'
import type { WatchedDrop } from '../../agent/drops/identity.ts'
import type { Notice } from '../../agent/drops/notice.ts'
import type { ReleasesWatch, WatchEdges } from '../../agent/drops/releases-watch.ts'

export const run = promisify(execFile)

const cleanups: (() => Promise<void> | void)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

export function atEnd(cleanup: () => Promise<void> | void): void {
  cleanups.push(cleanup)
}

/** A folder of its own for one test. */
export function scratch(): string {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'gracer-drops-')))
  atEnd(() => rmSync(root, { recursive: true, force: true }))
  return root
}

/** Waits until `condition` gives something; fails after `deadlineMs`. */
export async function until<T>(what: string, condition: () => T | null | undefined | false | Promise<T | null | undefined | false>, deadlineMs = 10_000): Promise<T> {
  const end = performance.now() + deadlineMs
  for (;;) {
    const value = await condition()
    if (value !== null && value !== undefined && value !== false) return value
    if (performance.now() > end) throw new Error(`After ${deadlineMs} ms still not: ${what}`)
    await pause(5)
  }
}

/**
 * A build with a few files, some of them deeper. Made in one turn of the event loop: a watch in the same process with a
 * short settle time could otherwise find it half made and quiet.
 */
export function build(path: string, files = 5): string {
  mkdirSync(join(path, 'lib'), { recursive: true })
  writeFileSync(join(path, 'server.mjs'), 'export {}\n')
  for (let i = 0; i < files; i += 1) writeFileSync(join(path, 'lib', `${i}.mjs`), `export const n = ${i}\n`)
  return path
}

/** Waits until the folder was born long enough ago for its move to be told from a creation. */
export async function aged(path: string, ms = 450): Promise<string> {
  const { birthtimeMs } = await lstat(path)
  await until(`${path} is ${ms} ms old`, () => Date.now() - birthtimeMs > ms)
  return path
}

export interface Watched {
  readonly watch: ReleasesWatch
  readonly drops: WatchedDrop[]
  readonly notices: Notice[]
  names(): string[]
  /** Waits for the announcement of a drop of this name. */
  drop(name: string, deadlineMs?: number): Promise<WatchedDrop>
  notice(code: Notice['code'], deadlineMs?: number): Promise<Notice>
}

/** Watches the folder with a short settle time, and gathers what is announced. Waits until the watch can tell moves. */
export async function watched(folder: string, options: { settleMs?: number; checksums?: 'required'; onDrop?: (drop: WatchedDrop) => void } & Partial<WatchEdges> = {}): Promise<Watched> {
  const drops: WatchedDrop[] = []
  const notices: Notice[] = []
  const { settleMs = 300, checksums, onDrop, ...edges } = options
  const watch = await watchReleases({
    folder,
    settleMs,
    checksums,
    onDrop: (drop) => {
      drops.push(drop)
      onDrop?.(drop)
    },
    onNotice: (notice) => notices.push(notice),
  }, edges)
  atEnd(() => watch.close())
  const began = performance.now()
  await until('the watch has run for 250 ms', () => performance.now() - began > 250)
  return {
    watch,
    drops,
    notices,
    names: () => drops.map((drop) => drop.identity.name),
    drop: (name, deadlineMs) => until(`${name} is announced (so far: ${drops.map((drop) => drop.identity.name).join(' ')})`, () => drops.find((drop) => drop.identity.name === name), deadlineMs),
    notice: (code, deadlineMs) => until(`notice ${code} (so far: ${notices.map((notice) => notice.code).join(' ')})`, () => notices.find((notice) => notice.code === code), deadlineMs),
  }
}
