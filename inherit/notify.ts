import net from 'node:net'

import { ownSockets } from './inherited-sockets.ts'
import { ownChannel } from './upgrade/channel.ts'

/** So that a line stays below the reader's limit of 4096 characters with any text in it. */
const longestStatus = 1000

export interface Notifier {
  /** Says that this process serves. Closes the sockets nobody has taken first: they would be black holes. */
  ready(): void
  /** One line for people, shown by `gracer status`. Line breaks become blanks; cut after 1,000 characters. */
  status(text: string): void
  /** Says that this process has begun to end. */
  stopping(): void
  /** Asks for that many more milliseconds, counted from now, before the parent gives up waiting. */
  extendTimeout(milliseconds: number): void
}

/**
 * Writes sd_notify(3)'s lines to a descriptor, or to a stream that is open on it. Every method does nothing where there is
 * none, and never throws: who listens may be gone, which is no reason for a server to stop serving.
 */
export function createNotifier(to: number | net.Socket | undefined, beforeReady: () => void = () => {}): Notifier {
  let stream = typeof to === 'number' ? undefined : (to ?? null)
  function write(key: string, value: string, weight: 'must-arrive' | 'may-drop'): void {
    if (stream === undefined) stream = openStream(to as number)
    if (stream === null || stream.destroyed) return
    // A reader that was stopped (SIGSTOP) must not make this process hold ever more lines.
    if (weight === 'may-drop' && stream.writableNeedDrain) return
    stream.write(`${key}=${value}\n`)
  }
  return {
    ready(): void {
      beforeReady()
      write('READY', '1', 'must-arrive')
    },
    status(text: string): void {
      write('STATUS', text.replace(/[\r\n]+/g, ' ').slice(0, longestStatus), 'may-drop')
    },
    stopping(): void {
      write('STOPPING', '1', 'must-arrive')
    },
    extendTimeout(milliseconds: number): void {
      if (Number.isFinite(milliseconds) && milliseconds >= 0) write('EXTEND_TIMEOUT_USEC', String(Math.ceil(milliseconds * 1000)), 'may-drop')
    },
  }
}

/**
 * Not a blocking write: the socket's buffer holds some 280 lines, and a stopped reader would then stop the server.
 * A short write still happens at once, so that ready() just before the process ends is not lost; a stream that is not read
 * from does not keep the process alive.
 */
function openStream(fd: number): net.Socket | null {
  try {
    const stream = new net.Socket({ fd, readable: false, writable: true })
    stream.on('error', () => {})
    return stream
  } catch {
    // Closed, or neither a socket nor a pipe.
    return null
  }
}

const shared = Symbol.for('gracer.notifier.1')

/** The notifier of this process. Reads the environment at its first use, not when it is imported. */
export const notifier: Notifier = {
  ready: () => own().ready(),
  status: (text) => own().status(text),
  stopping: () => own().stopping(),
  extendTimeout: (milliseconds) => own().extendTimeout(milliseconds),
}

function own(): Notifier {
  const holder = globalThis as { [shared]?: Notifier }
  holder[shared] ??= createNotifier(ownChannel()?.stream ?? ownSockets().notifyFd, () => ownSockets().closeUnused())
  return holder[shared]
}
