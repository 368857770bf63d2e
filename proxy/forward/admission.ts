import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { closeGently } from './gentle-close.ts'
import { rawRefusal, type FrontReply } from './refusal.ts'

/** Descriptors that are no connection: logs, channels, the event loop's own. */
const ownDescriptors = 40
/** Clients that are being turned away hold a connection too; of more than so many at a time the rest is reset. */
const mostLeaving = 64

const full: FrontReply = {
  status: 503, code: 'too-many-connections', reason: 'As many clients are connected as this server takes.', retryAfterSeconds: 1,
}

/**
 * How many clients one worker lets in. Each may need a second descriptor for its connection to a release; what gracer
 * cannot open it could not answer either (libuv closes what it cannot accept, without a word).
 */
export function mostClients(configured: number | null, workers: number, descriptors: number | null): number {
  const share = configured === null ? Infinity : Math.max(1, Math.floor(configured / workers))
  const possible = descriptors === null ? Infinity : Math.max(1, Math.floor((descriptors - ownDescriptors - mostLeaving) / 2))
  return Math.min(share, possible)
}

/** How many files this process may have open (proc(5)); null: not known, or no limit. Node has raised it as far as it goes. */
export function descriptorLimit(): number | null {
  try {
    const line = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))
    return line === null ? null : Number(line[1])
  } catch {
    return null
  }
}

/** Answers clients beyond the limit at once, whatever they are about to ask. */
export class TurnedAway {
  #leaving = 0

  turnAway(socket: Socket, requestId: string): void {
    socket.on('error', () => {})
    if (this.#leaving >= mostLeaving) return void socket.resetAndDestroy()
    this.#leaving += 1
    socket.once('close', () => { this.#leaving -= 1 })
    socket.write(rawRefusal(full, requestId), 'latin1')
    closeGently(socket)
  }
}
