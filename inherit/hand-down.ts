import { spawn, type ChildProcess } from 'node:child_process'
import { EventEmitter } from 'node:events'
import { existsSync } from 'node:fs'
import type { Socket } from 'node:net'

import { findCommand } from './find-command.ts'
import { GracerError } from './gracer-error.ts'
import { NotifyLines } from './notify-lines.ts'

/** The first descriptor that is passed down: SD_LISTEN_FDS_START of sd_listen_fds(3). */
export const firstPassedFd = 3
const shell = '/bin/sh'

export interface PassedSocket {
  /** For LISTEN_FDNAMES: printable ASCII without ':', at most 255 characters. */
  readonly name: string
  readonly fd: number
}

export interface HandDownOptions {
  readonly command: readonly string[]
  /** Real path of the folder to start in. */
  readonly cwd: string
  /** The whole environment, as made by childEnvironment(). */
  readonly env: Readonly<Record<string, string>>
  /** None at all: the child gets no LISTEN_* and finds its port in PORT. */
  readonly sockets: readonly PassedSocket[]
  /**
   * Descriptors of files opened with O_APPEND. A pipe (then `child.stdout` and `child.stderr` must be read) only for a child
   * that need not outlive this process: an orphan dies at its first write into a broken one.
   */
  readonly stdout: number | 'pipe'
  readonly stderr: number | 'pipe'
  /** Also a Node IPC channel (`child.send`), for a child that is a Node program of the caller's own. */
  readonly channel?: boolean
  /** Starts the command under the name it is written with, and not by its path: a process list then shows the same. */
  readonly asWritten?: boolean
}

export interface HandedDownEvents {
  /** One line of the notify pipe, for example ['READY', '1']. */
  notify: [key: string, value: string]
  /** Something on the notify pipe that is no line of KEY=value, or too long a one. */
  garbage: []
  /** The last holder of the other end is gone, or has closed it. */
  notifyEnd: []
}

export interface HandedDown {
  /** Also the number of the process group: `process.kill(-pid, signal)` reaches all of it. */
  readonly pid: number
  readonly child: ChildProcess
  readonly events: EventEmitter<HandedDownEvents>
  /** Writes a line to the child: its notify descriptor is one end of a socket pair. Nothing happens where it is gone. */
  say(key: string, value: string): void
}

/**
 * Starts a command as the leader of a new process group, with the sockets at descriptor 3 and following, contiguous
 * (Node marks only the lowest contiguous ones close-on-exec at its start), described by LISTEN_FDS, LISTEN_FDNAMES and
 * LISTEN_PID as in sd_listen_fds(3). After them comes the notify descriptor, a stream for lines of KEY=value, its number
 * in GRACER_NOTIFY_FD and its owner in GRACER_NOTIFY_PID. Synchronous, so that a caller may close its copies of the
 * sockets in the same tick.
 *
 * Throws GracerError: 'command-not-found', 'command-not-executable', 'cwd-not-found', 'socket-name-invalid',
 * 'spawn-failed'.
 */
export function spawnWithSockets(options: HandDownOptions): HandedDown {
  const { command, cwd, sockets } = options
  const [name = '', ...args] = command
  const file = findCommand(name, cwd, options.env['PATH'])
  const notifyFd = firstPassedFd + sockets.length
  const env = { ...options.env, ...listenVariables(sockets), GRACER_NOTIFY_FD: String(notifyFd) }
  const child = startThroughShell(sockets.length > 0, [options.asWritten === true && options.env['PATH'] !== undefined ? name : file, ...args], {
    cwd,
    env,
    stdio: ['ignore', options.stdout, options.stderr, ...sockets.map((socket) => socket.fd), 'pipe', ...(options.channel === true ? (['ipc'] as const) : [])],
  })
  // A failed start is reported by this event too, and an 'error' nobody listens to would end this process.
  child.on('error', () => {})
  const { pid } = child
  if (pid === undefined) {
    throw spawnFailed(command, cwd)
  }
  const pipe = child.stdio[notifyFd] as Socket
  return { pid, child, events: readNotices(pipe), say: (key, value) => void (pipe.writable && pipe.write(`${key}=${value}\n`)) }
}

function spawnFailed(command: readonly string[], cwd: string): GracerError {
  const what = `"${command.join(' ')}" could not be started in ${cwd}`
  if (!existsSync(shell)) {
    return new GracerError(`${what}: there is no ${shell}, which says LISTEN_PID to the command`, {
      code: 'spawn-failed',
      hint: 'Use a container image with a shell in it.',
    })
  }
  return new GracerError(`${what}: the system refused a new process`, {
    code: 'spawn-failed',
    hint: 'Look at the limits on processes and open files (ulimit -u, ulimit -n) and at free memory.',
  })
}

interface Start {
  readonly cwd: string
  readonly env: Record<string, string>
  readonly stdio: ('ignore' | 'pipe' | 'ipc' | number)[]
}

/**
 * A parent cannot know the child's pid before the fork, so a shell says its own and becomes the command.
 * dash drops variables whose names are not identifiers (`my.setting`): those go over its head, through env(1).
 */
function startThroughShell(listens: boolean, command: readonly string[], start: Start): ChildProcess {
  // What shells set by themselves, and a child of ours would not have had.
  const own = ['PWD', 'OLDPWD', 'SHLVL'].filter((name) => start.env[name] === undefined)
  const script = `${own.length === 0 ? '' : `unset ${own.join(' ')}; `}export GRACER_NOTIFY_PID=$$${listens ? ' LISTEN_PID=$$' : ''}; exec "$@"`
  const odd = Object.entries(start.env).filter(([name]) => !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !name.startsWith('-'))
  const over = odd.length === 0 ? [] : ['/usr/bin/env', ...odd.map(([name, value]) => `${name}=${value}`)]
  return spawn(shell, ['-c', script, 'sh', ...over, ...command], { ...start, detached: true })
}

function listenVariables(sockets: readonly PassedSocket[]): Record<string, string> {
  if (sockets.length === 0) return {}
  for (const { name } of sockets) {
    if (!/^[\x21-\x39\x3b-\x7e]{1,255}$/.test(name)) {
      throw new GracerError(`"${name}" cannot be the name of a socket: 1 to 255 printable ASCII characters without ":" and blanks`, {
        code: 'socket-name-invalid',
      })
    }
  }
  return { LISTEN_FDS: String(sockets.length), LISTEN_FDNAMES: sockets.map((socket) => socket.name).join(':') }
}

function readNotices(pipe: Socket): EventEmitter<HandedDownEvents> {
  const events = new EventEmitter<HandedDownEvents>()
  const lines = new NotifyLines()
  // ECONNRESET when the child dies with something unread: 'close' follows, which is all that matters.
  pipe.on('error', () => {})
  pipe.on('data', (chunk: Buffer) => {
    const dropped = lines.dropped
    for (const [key, value] of lines.push(chunk)) events.emit('notify', key, value)
    if (lines.dropped > dropped) events.emit('garbage')
  })
  pipe.once('close', () => events.emit('notifyEnd'))
  return events
}
