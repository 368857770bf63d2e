import { readSync } from 'node:fs'
import { ownSockets } from './inherited-sockets.ts'

/** Set for a Node program that is to be started and not run yet. */
export const spareVariable = 'GRACER_SPARE'

/**
 * Holds this process, before the first line of its program is read, until its parent writes a line to the notify
 * descriptor: Node has started by then, and what is read afterwards is what lies there by that time. Ends it where the
 * parent has gone. It blocks: nothing of the program runs yet, and a signal ends it as it ends any program.
 */
export async function holdUntilTold(): Promise<void> {
  Reflect.deleteProperty(process.env, spareVariable)
  const fd = ownSockets().notifyFd
  if (fd === undefined) return
  // Most programs load it first of all, and it takes longer than all of the rest.
  await import('node:http')
  const byte = Buffer.alloc(1)
  do {
    if (readSync(fd, byte) === 0) process.exit(0)
  } while (byte[0] !== 0x0a)
}
