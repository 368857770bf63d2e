import { connect, type Socket } from 'node:net'
import type { Target } from '../table.ts'

/** A backend is on this machine: what does not answer a SYN in 2 s will not. */
export const dialTimeoutMs = 2_000

/**
 * Connects to a release. `done` is called once, with a connected socket or with the error, never after the returned
 * function was called, which gives the dial up.
 */
export function dial(target: Target, done: (error: Error | null, socket: Socket) => void): () => void {
  // allowHalfOpen: a WebSocket backend that says FIN may still be read from the client's side.
  const socket = connect({ host: target.host, port: target.port, noDelay: true, allowHalfOpen: true })
  let settled = false
  const settle = (error: Error | null): void => {
    if (settled) return
    settled = true
    clearTimeout(timer)
    if (error !== null) socket.destroy()
    done(error, socket)
  }
  socket.on('error', settle)
  const timer = setTimeout(() => {
    settle(Object.assign(new Error(`No connection to ${target.host}:${target.port} within ${dialTimeoutMs} ms.`), { code: 'ETIMEDOUT' }))
  }, dialTimeoutMs)
  socket.once('connect', () => settle(null))
  return () => {
    if (settled) return
    settled = true
    clearTimeout(timer)
    socket.destroy()
  }
}
