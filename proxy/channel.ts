import type { ChildProcess } from 'node:child_process'

/** A message larger than this is a defect: it is not sent, and one that arrives is not believed. */
const mostBytes = 4 * 1024 * 1024

/** Sends to a child over its IPC channel. A child that is gone loses the message; its exit tells the rest. */
export function sendTo(child: ChildProcess, message: object): void {
  if (!child.connected) return
  child.send(message, undefined, undefined, () => {})
}

/** Sends to the parent over this process's own IPC channel; a parent that is gone is told by 'disconnect'. */
export function sendToParent(message: object): void {
  if (process.connected !== true || process.send === undefined) return
  process.send(message, undefined, undefined, () => {})
}

/** Is it one of ours: an object with a type, of a sane size? What it says is checked where it is used. */
export function isMessage(value: unknown): value is { readonly type: string } {
  if (typeof value !== 'object' || value === null || typeof (value as { type?: unknown }).type !== 'string') return false
  return approximateBytes(value) <= mostBytes
}

/** Cheap for small messages, which all but a few are: stops counting at the limit. */
function approximateBytes(value: unknown): number {
  let bytes = 0
  const open: unknown[] = [value]
  while (open.length > 0 && bytes <= mostBytes) {
    const next = open.pop()
    if (typeof next === 'string') bytes += next.length
    else if (typeof next === 'object' && next !== null) open.push(...Object.values(next))
    bytes += 8
  }
  return bytes
}
