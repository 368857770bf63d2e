import { EventEmitter } from 'node:events'
import net from 'node:net'

import { NotifyLines } from '../notify-lines.ts'
import { ownSockets } from '../inherited-sockets.ts'
import { readMark, type Mark } from './mark.ts'

export interface ChannelEvents {
  line: [key: string, value: string]
  /** The process that started this one is gone, or needs the channel no more. */
  end: []
}

/** What a generation shares with the process that started it: the notify descriptor, in both directions. */
export interface Channel {
  readonly mark: Mark
  readonly stream: net.Socket
  readonly events: EventEmitter<ChannelEvents>
  readonly ended: boolean
  /** While referenced it keeps this process alive, as waiting for a word must. */
  ref(): void
  unref(): void
}

const shared = Symbol.for('gracer.channel.1')

/**
 * Undefined where no other generation started this process. Kept on globalThis because a program may hold two copies of
 * this module, and a descriptor can be opened only once.
 */
export function ownChannel(): Channel | undefined {
  const holder = globalThis as { [shared]?: Channel | null }
  if (holder[shared] === undefined) holder[shared] = openChannel() ?? null
  return holder[shared] ?? undefined
}

function openChannel(): Channel | undefined {
  const { mark: text, notifyFd } = ownSockets()
  const mark = readMark(text)
  if (mark === undefined || notifyFd === undefined) return undefined
  let stream
  try {
    stream = new net.Socket({ fd: notifyFd, readable: true, writable: true })
  } catch {
    // Closed, or not one end of a socket pair.
    return undefined
  }
  return listenTo(stream, mark)
}

function listenTo(stream: net.Socket, mark: Mark): Channel {
  const events = new EventEmitter<ChannelEvents>()
  const lines = new NotifyLines()
  let ended = false
  stream.on('error', () => {})
  stream.on('data', (chunk: Buffer) => {
    for (const [key, value] of lines.push(chunk)) events.emit('line', key, value)
  })
  stream.once('close', () => {
    ended = true
    events.emit('end')
  })
  stream.resume()
  stream.unref()
  return {
    mark,
    stream,
    events,
    get ended() {
      return ended
    },
    ref: () => void stream.ref(),
    unref: () => void stream.unref(),
  }
}
