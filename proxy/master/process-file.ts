import { readJson, replaceFile } from '../atomic-file.ts'
import { startOfPid, stateOfPid } from '../process-identity.ts'
import { keyFromFile, type ReleaseId } from '../release-key.ts'

export interface ProcessEntry {
  readonly pid: number
  /** Tells it from another process that got the same pid later. */
  readonly start: string | null
}

export interface BackendEntry extends ProcessEntry {
  readonly service: string
  readonly release: ReleaseId
  readonly port: number
}

export interface HookEntry extends ProcessEntry {
  readonly service: string
  readonly release: string
  readonly run: number
}

/** Every process of one gracer: what the next master needs to find what a dead one left behind. */
export interface ProcessFile {
  readonly schema: 1
  readonly master: ProcessEntry
  readonly agent: ProcessEntry | null
  readonly workers: readonly ProcessEntry[]
  readonly backends: readonly BackendEntry[]
  /** Absent in the file of an earlier version. */
  readonly hooks?: readonly HookEntry[]
}

export function writeProcessFile(path: string, content: ProcessFile): void {
  replaceFile(path, `${JSON.stringify(content)}\n`, false)
}

/** What the last master wrote; null where there is nothing to be believed. */
export function readProcessFile(path: string): ProcessFile | null {
  const found = readJson(path) as Partial<ProcessFile> | null
  if (found?.schema !== 1 || !Array.isArray(found.workers) || !Array.isArray(found.backends)) return null
  if (found.hooks !== undefined && !Array.isArray(found.hooks)) return null
  const entries = [...found.workers, ...found.backends, ...(found.hooks ?? [])] as Partial<ProcessEntry>[]
  if (!entries.every((entry) => Number.isInteger(entry.pid) && (entry.pid ?? 0) > 1)) return null
  const backends = (found.backends as BackendEntry[]).filter((one) => typeof one.service === 'string' && typeof one.release === 'string')
  return { ...(found as ProcessFile), backends: backends.map((one) => ({ ...one, release: keyFromFile(one.service, one.release) })) }
}

export function entryOf(pid: number): ProcessEntry {
  return { pid, start: startOfPid(pid) }
}

/** Only what is certainly the same process counts as alive: a stranger with its pid must not be signalled. */
export function lives(entry: ProcessEntry): boolean {
  return entry.start !== null && stateOfPid(entry.pid, entry.start) === 'alive'
}
