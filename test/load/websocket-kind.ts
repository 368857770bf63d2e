import { seededBytes } from './bytes.ts'
import type { Context } from './context.ts'
import { seedOf } from './http-kinds.ts'
import { Pace } from './pace.ts'
import { opcodes } from './websocket-frames.ts'
import { WebSocketClient } from './websocket.ts'

/** WebSockets that echo for a while, are closed by the client, and begin again: so that handshakes go on all the time. */
export async function websocket(context: Context): Promise<void> {
  const pace = new Pace(context)
  const { random } = context.options
  while (await pace.turn()) {
    const client = await WebSocketClient.open(context, context.begin('websocket'))
    if (client === null) continue
    let left = random.between(20, 60)
    while (left-- > 0 && client.usable && await pace.turn()) {
      if (!client.usable) break
      const { opcode, payload } = someMessage(context)
      await client.echo(context.begin('websocket-message'), opcode, payload)
    }
    await client.close()
  }
}

/** All three lengths that a frame can have (RFC 6455, 5.2), and text as well as bytes. */
function someMessage(context: Context): { opcode: number; payload: Buffer } {
  const { random } = context.options
  const size = random.between(1, 20) === 1 ? random.between(65_536, 80_000) : random.between(0, 500)
  const bytes = seededBytes(seedOf(context), size)
  if (random.between(0, 1) === 0) return { opcode: opcodes.binary, payload: bytes }
  return { opcode: opcodes.text, payload: Buffer.from(bytes.toString('base64')) }
}
