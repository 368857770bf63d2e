/** A frame as RFC 6455 5.2 lays it out. */
export function frame(opcode: number, payload: Buffer, masked: boolean, fin = true): Buffer {
  const length = payload.length < 126 ? Buffer.from([payload.length])
    : payload.length < 65_536 ? Buffer.from([126, payload.length >> 8, payload.length & 0xff])
      : Buffer.from([127, 0, 0, 0, 0, payload.length >>> 24, (payload.length >> 16) & 0xff, (payload.length >> 8) & 0xff, payload.length & 0xff])
  if (masked) length[0] = (length[0] as number) | 0x80
  const key = Buffer.from([1, 2, 3, 4])
  const body = masked ? Buffer.from(payload.map((byte, at) => byte ^ (key[at % 4] as number))) : payload
  return Buffer.concat([Buffer.from([(fin ? 0x80 : 0) | opcode]), length, masked ? key : Buffer.alloc(0), body])
}
