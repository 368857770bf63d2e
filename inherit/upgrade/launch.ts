import { accessSync, constants, readFileSync, realpathSync, statSync } from 'node:fs'
import path from 'node:path'

import { findCommand } from '../find-command.ts'
import { GracerError } from '../gracer-error.ts'
import type { Parent } from './watched-by.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** How this process was started, as it was written then: the same words name the new code once a symlink has moved. */
export interface Launch {
  readonly command: readonly string[]
  /** The folder it was started in, by the name that the shell had for it. */
  readonly cwd: string
  /** The environment it began with: what the program has put there since, from a .env file say, is the old code's. */
  readonly env: Readonly<Record<string, string>>
  /** Absolute path of the script, symlinks unresolved. */
  readonly main: string | undefined
  readonly parent: Parent
}

/** What `launchFrom` looks at. */
export interface LaunchFacts {
  /** /proc/self/cmdline, or undefined where there is none. */
  readonly cmdline: readonly string[] | undefined
  readonly env: Environment
  readonly argv: readonly string[]
  readonly argv0: string
  readonly execArgv: readonly string[]
  readonly execPath: string
  readonly cwd: string
  readonly parent: Parent
}

/**
 * Names of one process alone. The channel of child_process.fork (pm2 makes one), the watchdog's pid and a cluster's
 * number would be somebody else's in the next generation.
 */
const ownNames = new Set([
  'LISTEN_FDS', 'LISTEN_FDNAMES', 'LISTEN_PID', 'LISTEN_PIDFDID', 'WATCHDOG_PID', 'NODE_CHANNEL_FD', 'NODE_CHANNEL_SERIALIZATION_MODE',
  'NODE_UNIQUE_ID', 'GRACER_NOTIFY_FD', 'GRACER_NOTIFY_PID', 'GRACER_SUCCESSOR', 'GRACER_WITNESS', 'GRACER_NODE_OPTIONS',
])

/** Pure but for looking at the file system: finds the words again that started this process. */
export function launchFrom(facts: LaunchFacts): Launch {
  const env = environmentFrom(facts.env)
  const cwd = folderAsNamed(facts.cwd, env['PWD'])
  const words = usable(facts) ? facts.cmdline : [facts.argv0, ...facts.execArgv, ...facts.argv.slice(1)]
  const [name = facts.argv0, ...rest] = words
  const main = rest[facts.execArgv.length]
  return {
    command: [names(name, cwd, env['PATH'], facts.execPath) ? name : facts.execPath, ...rest],
    cwd,
    env,
    main: main === undefined || facts.argv[1] === undefined || !sameFile(path.resolve(cwd, main), facts.argv[1]) ? undefined : path.resolve(cwd, main),
    parent: facts.parent,
  }
}

/** process.title overwrites the command line in place: then Node's own copy is all there is. */
function usable(facts: LaunchFacts): facts is LaunchFacts & { cmdline: readonly string[] } {
  const { cmdline, argv, argv0, execArgv } = facts
  if (cmdline === undefined || cmdline[0] !== argv0) return false
  const tail = argv.slice(2)
  const mainToo = argv.length > 1 ? 1 : 0
  return cmdline.length === 1 + execArgv.length + mainToo + tail.length && execArgv.every((word, index) => cmdline[1 + index] === word) && tail.every((word, index) => cmdline.at(index - tail.length) === word)
}

/** The kernel gives a folder's real path; the shell's name for it, in PWD, may go through a symlink that moves. */
function folderAsNamed(cwd: string, named: string | undefined): string {
  return named !== undefined && path.isAbsolute(named) && sameFile(named, cwd) ? named : cwd
}

function sameFile(a: string, b: string): boolean {
  const [one, other] = [statSync(a, { throwIfNoEntry: false }), statSync(b, { throwIfNoEntry: false })]
  return one !== undefined && other !== undefined && one.dev === other.dev && one.ino === other.ino
}

function names(command: string, cwd: string, searchPath: string | undefined, execPath: string): boolean {
  try {
    return realpathSync(findCommand(command, cwd, searchPath)) === realpathSync(execPath)
  } catch {
    return false
  }
}

function environmentFrom(env: Environment): Record<string, string> {
  const entries = Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined && !ownNames.has(entry[0]))
  // What the witness (witness.ts) added to this process's NODE_OPTIONS must not be there twice in the next.
  if (env['GRACER_WITNESS'] === undefined) return Object.fromEntries(entries)
  const others = entries.filter(([name]) => name !== 'NODE_OPTIONS')
  return Object.fromEntries(env['GRACER_NODE_OPTIONS'] === undefined ? others : [...others, ['NODE_OPTIONS', env['GRACER_NODE_OPTIONS']]])
}

/**
 * Of this process, read when this module is loaded: later the program may have changed its title, its folder, its
 * environment.
 */
export const ownLaunch: Launch = launchFrom({
  cmdline: fileWords('/proc/self/cmdline'),
  env: initialEnvironment(),
  argv: process.argv,
  argv0: process.argv0,
  execArgv: process.execArgv,
  execPath: process.execPath,
  cwd: process.cwd(),
  parent: { pid: process.ppid, name: fileWords(`/proc/${process.ppid}/comm`)?.[0]?.trim() },
})

function fileWords(file: string): string[] | undefined {
  try {
    return readFileSync(file, 'utf8').replace(/\0$/, '').split('\0')
  } catch {
    return undefined
  }
}

/** proc_pid_environ(5) shows it as it was at the start, whatever process.env has become. */
function initialEnvironment(): Environment {
  const entries = fileWords('/proc/self/environ')?.filter((entry) => entry.includes('=')).map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)] as const)
  return entries === undefined || entries.length === 0 ? { ...process.env } : Object.fromEntries(entries)
}

/**
 * Throws GracerError 'main-missing' where the script is gone or cannot be read: found before the spawn, because
 * afterwards it is only an exit code.
 */
export function checkMain(launch: Launch): void {
  const { main } = launch
  if (main === undefined || statSync(main, { throwIfNoEntry: false })?.isDirectory() === true) return
  try {
    accessSync(main, constants.R_OK)
  } catch (cause) {
    // `node server` finds server.js.
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT' && path.extname(main) === '') return
    const what = (cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'is gone' : `cannot be read (${(cause as NodeJS.ErrnoException).code ?? 'unknown error'})`
    throw new GracerError(`${main}, which this process was started from, ${what}`, { code: 'main-missing', cause, hint: 'Put the new code there and try again.' })
  }
}
