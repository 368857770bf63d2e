import { readFileSync } from 'node:fs'
import { replaceFile } from '../../proxy/atomic-file.ts'

/**
 * A config, or a part of one, as a file of ours: what was valid once is still there when gracer.json is not, or says
 * something else by now. It may hold secrets (env), so nobody else may read it (0600). Throws what the file system throws.
 */
export function keepConfig(path: string, config: object): void {
  const text = JSON.stringify(config, (_key, value: unknown) => (value instanceof Map ? { map: [...(value as Map<unknown, unknown>)] } : value))
  if (readOrNull(path) !== text) replaceFile(path, text, false)
}

/** What was kept there; null where nothing was, or where it cannot be read. */
export function keptConfig<T extends object>(path: string): T | null {
  const text = readOrNull(path)
  if (text === null) return null
  try {
    return JSON.parse(text, (_key, value: unknown) => (isMap(value) ? new Map(value.map) : value)) as T
  } catch {
    return null
  }
}

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}

/** No object of a config has a key `map`, and the names that users give stand within maps. */
function isMap(value: unknown): value is { map: [string, string][] } {
  return typeof value === 'object' && value !== null && 'map' in value && Array.isArray(value.map)
}
