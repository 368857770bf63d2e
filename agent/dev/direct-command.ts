import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

export interface DirectCommand {
  readonly command: readonly string[]
  /** What is run instead of what was written, for a person; null: what was written. */
  readonly instead: string | null
}

/**
 * The same program with fewer processes around it: npx looks for half a second for what lies in node_modules, and tsx
 * starts the program as its child, which its own documentation puts as `node --import tsx` (then the socket can be passed).
 */
export function directCommand(command: readonly string[], folder: string): DirectCommand {
  let words = command
  if (words[0] === 'npx' && words.length > 1 && !(words[1] as string).startsWith('-') && binIn(words[1] as string, folder)) words = words.slice(1)
  if (words[0] === 'tsx' && words.length > 1 && !(words[1] as string).startsWith('-') && words[1] !== 'watch' && resolves('tsx', folder)) {
    words = ['node', '--import', 'tsx', ...words.slice(1)]
  }
  return { command: words, instead: words === command ? null : words.join(' ') }
}

/** PATH with the folders of installed commands in front, as npm has it for scripts. */
export function pathWithBins(folder: string, path: string | undefined): string {
  return [...binFolders(folder), path ?? '/usr/local/bin:/usr/bin:/bin'].join(':')
}

function binFolders(folder: string): string[] {
  const found: string[] = []
  for (let at = folder; ; at = dirname(at)) {
    const bin = join(at, 'node_modules', '.bin')
    if (existsSync(bin)) found.push(bin)
    if (dirname(at) === at) return found
  }
}

function binIn(name: string, folder: string): boolean {
  return binFolders(folder).some((bin) => existsSync(join(bin, name)))
}

function resolves(name: string, folder: string): boolean {
  try {
    createRequire(join(folder, 'package.json')).resolve(name)
    return true
  } catch {
    return false
  }
}
