import { accessSync, closeSync, constants, openSync, readSync, statSync } from 'node:fs'
import path from 'node:path'

import { GracerError } from './gracer-error.ts'

/** What execvp(3) and POSIX shells search when PATH is not set. */
const defaultPath = '/usr/local/bin:/usr/bin:/bin'

/**
 * The absolute path of the file that `command` names for a child with this folder and PATH, symlinks left as they are.
 * Checked before the spawn because afterwards a missing command is only a shell's exit code 127 in a log.
 *
 * Throws GracerError: 'cwd-not-found', 'command-not-found' (also where the script's `#!` interpreter is missing),
 * 'command-not-executable'; the text names the command, the folder and the PATH searched.
 */
export function findCommand(command: string, cwd: string, searchPath: string | undefined): string {
  if (kindOf(cwd) !== 'folder') {
    throw new GracerError(`the folder ${cwd}, in which "${command}" was to start, does not exist`, { code: 'cwd-not-found' })
  }
  const searched = searchPath ?? defaultPath
  const where = command.includes('/') ? `in ${cwd}` : `in ${cwd} with PATH=${searched}`
  let refused: string | undefined
  for (const candidate of candidates(command, cwd, searched)) {
    const kind = kindOf(candidate)
    if (kind === 'nothing') continue
    if (kind === 'folder' || !mayExecute(candidate)) {
      refused ??= kind === 'folder' ? `${candidate} is a folder` : `${candidate} may not be executed by this user`
      continue
    }
    checkInterpreter(candidate, where)
    return candidate
  }
  if (refused !== undefined) {
    throw new GracerError(`command "${command}" cannot be started ${where}: ${refused}`, {
      code: 'command-not-executable',
      hint: 'Name an executable file ("chmod +x"), or put its interpreter in front of it.',
    })
  }
  throw new GracerError(`command "${command}" was not found ${where}`, {
    code: 'command-not-found',
    hint: command.includes('/') ? 'A relative command is looked up in the release’s folder.' : 'Give its full path, or start gracer with a PATH that has it.',
  })
}

function candidates(command: string, cwd: string, searchPath: string): string[] {
  if (command === '') return []
  if (command.includes('/')) return [path.resolve(cwd, command)]
  // An empty element of PATH is the current folder (POSIX, XBD 8.3).
  return searchPath.split(':').map((folder) => path.resolve(cwd, folder, command))
}

function kindOf(file: string): 'nothing' | 'folder' | 'file' {
  const stat = statSync(file, { throwIfNoEntry: false })
  if (stat === undefined) return 'nothing'
  return stat.isDirectory() ? 'folder' : 'file'
}

function mayExecute(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

function checkInterpreter(script: string, where: string): void {
  const interpreter = /^#![ \t]*([^\s]+)/.exec(firstBytes(script, 256))?.[1]
  if (interpreter === undefined || !interpreter.startsWith('/') || kindOf(interpreter) === 'file') return
  throw new GracerError(`command "${script}" cannot be started ${where}: its first line names the interpreter ${interpreter}, which does not exist`, {
    code: 'command-not-found',
  })
}

function firstBytes(file: string, count: number): string {
  const buffer = Buffer.alloc(count)
  let fd
  try {
    fd = openSync(file, 'r')
  } catch {
    // Executable and not readable (mode 0111): the kernel starts it all the same.
    return ''
  }
  try {
    return buffer.toString('latin1', 0, readSync(fd, buffer, 0, count, 0))
  } finally {
    closeSync(fd)
  }
}
