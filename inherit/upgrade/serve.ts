import { isatty } from 'node:tty'

import { GracerError } from '../gracer-error.ts'
import { ownSockets } from '../inherited-sockets.ts'
import type { ListenAddress } from '../listen.ts'
import { notifier } from '../notify.ts'
import type { DrainReport } from '../soft-drain.ts'
import { ownChannel } from './channel.ts'
import { currentProgram } from './current.ts'
import { stayInFront } from './front.ts'
import { ownLaunch } from './launch.ts'
import { specsOf, type ServeTarget } from './listener-specs.ts'
import { Listeners } from './listeners.ts'
import { Program } from './program.ts'
import { readServeOptions, type ServeOptions } from './serve-options.ts'
import type { Upgraded, UpgradeOptions } from './upgradable.ts'

/** A program that serves, until it is closed or its successor has taken over. */
export interface Running {
  /** Of the first listener. */
  readonly address: ListenAddress
  /** Of all listeners, by name. */
  readonly addresses: ReadonlyMap<string, ListenAddress>
  /** 1 for the process that was started by hand, one more with each upgrade. */
  readonly generation: number
  /** Whether a socket was handed down: by gracer, by systemd, or by the generation before. */
  readonly inherited: boolean
  /**
   * Starts the successor and resolves when it serves and is confirmed; this process then drains and ends. Rejects with
   * UpgradeError 'busy', 'spawn', 'exited', 'timeout', 'protocol' or 'aborted', and this process serves on. In a backend
   * of gracer it rejects with GracerError 'under-gracer'.
   */
  upgrade(options?: UpgradeOptions): Promise<Upgraded>
  /** Stops accepting, drains softly and takes away what serve() has put up. Does not end the process. */
  close(options?: { readonly signal?: AbortSignal | undefined }): Promise<DrainReport>
  /** The drain, whoever began it. */
  readonly closed: Promise<DrainReport>
}

/**
 * Serves a request handler, a server, or several of them by name, so that the program can replace itself with its next
 * build under load: on SIGUSR2, through a control socket, an HTTP route, or `upgrade()`. It takes up a listening socket
 * that was handed down, or binds. In a successor it resolves when the process before has handed over: what must be ready
 * before the first request belongs before the call.
 *
 * Rejects with GracerError: 'serve-options', 'already-serving', 'control-unsafe', 'pid-file', or as `listen` does.
 */
export async function serve(target: ServeTarget, options: ServeOptions = {}): Promise<Running> {
  const settings = readServeOptions(options, onTerminal())
  const listeners = new Listeners(target, options)
  const channel = ownChannel()
  if (settings.front && channel === undefined && !runsUnderGracer()) await stayInFront(specsOf(target, options), settings)
  if (currentProgram() !== undefined) {
    throw new GracerError('serve: this process serves already', { code: 'already-serving', hint: 'Give several listeners by name to one call: serve({ web: { handler, port }, admin: { handler, port } }).' })
  }
  const program = new Program({ listeners, settings, channel, launch: ownLaunch, underGracer: runsUnderGracer(), notifier })
  await program.start()
  return program
}

/**
 * For a program that is slow or heavy to load: the first process stays here, as the parent with the constant pid, and
 * loads nothing more; in the generations that it starts this returns at once. Takes the options of `serve`, or the
 * listeners by name and the options; give `serve` the same.
 */
export async function front(options: ServeOptions): Promise<void>
export async function front(listeners: Exclude<ServeTarget, (...args: never[]) => unknown>, options: ServeOptions): Promise<void>
export async function front(first: ServeOptions | ServeTarget, second?: ServeOptions): Promise<void> {
  const options = second ?? (first as ServeOptions)
  const settings = readServeOptions(options, onTerminal())
  if (ownChannel() === undefined && !runsUnderGracer()) await stayInFront(specsOf(second === undefined ? undefined : (first as ServeTarget), options), settings)
}

/**
 * gracer starts a backend with the release's name and a notify descriptor: this process's own, or, behind a wrapper such
 * as `npm start`, that of the process above, whose variables are still there.
 */
function runsUnderGracer(): boolean {
  if (ownChannel() !== undefined || process.env['GRACER_RELEASE'] === undefined) return false
  return ownSockets().notifyFd !== undefined || process.env['GRACER_NOTIFY_FD'] !== undefined
}

function onTerminal(): boolean {
  return [0, 1, 2].some((fd) => isatty(fd))
}
