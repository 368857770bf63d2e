import { Fault } from './failure.ts'

export const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const

export interface Message {
  readonly opcode: number
  readonly payload: Buffer
}

const messageLimit = 16 * 1024 * 1024

/** One masked frame, as a client must send it (RFC 6455, 5.1). */
export function maskedFrame(opcode: number, payload: Buffer, mask: Buffer): Buffer {
  const n = payload.length
  const extended = n < 126 ? 0 : n < 65536 ? 2 : 8
  const out = Buffer.allocUnsafe(6 + extended + n)
  out[0] = 0x80 | opcode
  out[1] = 0x80 | (extended === 0 ? n : extended === 2 ? 126 : 127)
  if (extended === 2) out.writeUInt16BE(n, 2)
  if (extended === 8) out.writeBigUInt64BE(BigInt(n), 2)
  const start = 2 + extended
  mask.copy(out, start, 0, 4)
  for (let i = 0; i < n; i++) out[start + 4 + i] = payload[i]! ^ mask[i & 3]!
  return out
}

/** Reads a server's frames and puts fragmented messages together. Throws Fault `malformed` (RFC 6455, 5.2 to 5.5). */
export class FrameReader {
  readonly #onMessage: (message: Message) => void
  #pending: Buffer = Buffer.alloc(0)
  #opcode: number | null = null
  #parts: Buffer[] = []

  constructor(onMessage: (message: Message) => void) {
    this.#onMessage = onMessage
  }

  /** Is it between two messages? */
  get atBoundary(): boolean {
    return this.#pending.length === 0 && this.#opcode === null
  }

  feed(chunk: Buffer): void {
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk])
    for (let size = this.#frame(); size > 0; size = this.#frame()) this.#pending = this.#pending.subarray(size)
  }

  /** Takes one frame; its size in bytes, or 0 when it is not all there. */
  #frame(): number {
    const bytes = this.#pending
    if (bytes.length < 2) return 0
    const opcode = bytes[0]! & 0x0f
    const last = (bytes[0]! & 0x80) !== 0
    const short = bytes[1]! & 0x7f
    if ((bytes[0]! & 0x70) !== 0) throw new Fault('malformed', 'a frame with reserved bits')
    if ((bytes[1]! & 0x80) !== 0) throw new Fault('malformed', 'a masked frame from the server')
    if (opcode >= 8 && (!last || short > 125)) throw new Fault('malformed', 'a control frame that is fragmented or too long')
    const start = short < 126 ? 2 : short === 126 ? 4 : 10
    if (bytes.length < start) return 0
    const n = short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2))
    if (n > messageLimit) throw new Fault('malformed', `a frame of ${n} bytes`)
    if (bytes.length < start + n) return 0
    this.#take(opcode, last, bytes.subarray(start, start + n))
    return start + n
  }

  #take(opcode: number, last: boolean, payload: Buffer): void {
    if (opcode >= 8) {
      if (opcode > opcodes.pong) throw new Fault('malformed', `opcode ${opcode}`)
      this.#onMessage({ opcode, payload })
      return
    }
    if (opcode > opcodes.binary) throw new Fault('malformed', `opcode ${opcode}`)
    if ((opcode === opcodes.continuation) !== (this.#opcode !== null)) throw new Fault('malformed', `opcode ${opcode} out of place`)
    this.#opcode ??= opcode
    this.#parts.push(payload)
    if (!last) return
    const message = { opcode: this.#opcode, payload: Buffer.concat(this.#parts) }
    this.#opcode = null
    this.#parts = []
    this.#onMessage(message)
  }
}
