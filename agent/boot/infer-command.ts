import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { GracerError } from '../../inherit/gracer-error.ts'

export interface InferredCommand {
  readonly command: readonly string[]
  /** Where it came from, for a person. */
  readonly from: string
}

/** Looked for in this order where nothing says how a folder is started. */
export const usualFiles: readonly string[] = ['server.mjs', 'server.js', 'index.mjs', 'index.js', 'app.mjs', 'app.js', 'main.mjs', 'main.js']

/**
 * What to run in a folder for which no command is configured: its package.json's start script, its main, or the usual
 * names. A start script that is plainly `node FILE` is run without npm in between, so that the socket can be passed.
 * @throws GracerError 'no-command' naming what was looked for.
 */
export function inferCommand(folder: string): InferredCommand {
  const manifest = readPackage(folder)
  const start = manifest?.scripts?.['start']
  if (typeof start === 'string' && start.trim() !== '') {
    const words = start.trim().split(/\s+/)
    const isPlainNode = words[0] === 'node' && words.every((word) => /^[\w./=@:-]+$/.test(word))
    return isPlainNode ? { command: words, from: 'the start script of package.json' } : { command: ['npm', 'start', '--silent'], from: 'npm start' }
  }
  const main = manifest?.main
  if (typeof main === 'string' && existsSync(join(folder, main))) return { command: ['node', main], from: 'main of package.json' }
  const found = usualFiles.find((name) => existsSync(join(folder, name)))
  if (found !== undefined) return { command: ['node', found], from: found }
  throw new GracerError(`${folder} does not say how it is started: no package.json with a start script or main, and none of ${usualFiles.join(', ')}`, {
    code: 'no-command', exitCode: 2, hint: 'Set "command" in gracer.json, or start with `gracer up -- CMD ARG…`.',
  })
}

function readPackage(folder: string): { scripts?: Record<string, unknown>; main?: unknown } | null {
  try {
    return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { scripts?: Record<string, unknown>; main?: unknown }
  } catch {
    return null
  }
}
