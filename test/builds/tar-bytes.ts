import { gzipSync } from 'node:zlib'

/** One entry of a tar archive, as bytes say it: nothing here is checked, that is what it is for. */
export interface TarEntry {
  readonly path: string | Buffer
  /** The type flag; '0' a file, '1' a hard link, '2' a symlink, '3' and '4' devices, '5' a folder, '6' a FIFO, 'x' pax, 'L' a long name. */
  readonly type?: string
  readonly body?: Buffer | string
  /** What the head says, where it is not the truth: a number, or the 12 bytes themselves. */
  readonly size?: number | Buffer
  readonly mode?: number
  readonly link?: string
  readonly prefix?: string
  /** Added to the checksum, so that it is wrong. */
  readonly checksumOff?: number
}

const blockBytes = 512

/** POSIX.1-1988 ustar, field by field. */
export function tarHead(entry: TarEntry): Buffer {
  const head = Buffer.alloc(blockBytes)
  const body = bodyOf(entry)
  Buffer.from(entry.path).copy(head, 0, 0, 100)
  head.write(octal(entry.mode ?? 0o644, 7), 100)
  head.write(octal(0, 7), 108)
  head.write(octal(0, 7), 116)
  if (Buffer.isBuffer(entry.size)) entry.size.copy(head, 124, 0, 12)
  else head.write(octal(entry.size ?? body.length, 11), 124)
  head.write(octal(1_700_000_000, 11), 136)
  head.write('        ', 148)
  head.write(entry.type ?? '0', 156)
  head.write(entry.link ?? '', 157, 100)
  head.write('ustar\u000000', 257)
  head.write(entry.prefix ?? '', 345, 155)
  const sum = head.reduce((total, byte) => total + byte, 0) + (entry.checksumOff ?? 0)
  head.write(`${octal(sum, 6)}\u0000 `, 148)
  return head
}

export function tarEntry(entry: TarEntry): Buffer {
  const body = bodyOf(entry)
  return Buffer.concat([tarHead(entry), body, Buffer.alloc((blockBytes - (body.length % blockBytes)) % blockBytes)])
}

/** The two blocks of zeros that end an archive. */
export const tarEnd = Buffer.alloc(2 * blockBytes)

export function tar(entries: readonly TarEntry[]): Buffer {
  return Buffer.concat([...entries.map(tarEntry), tarEnd])
}

export function tgz(entries: readonly TarEntry[]): Buffer {
  return gzipSync(tar(entries))
}

/** An extended header (POSIX.1-2001) that speaks for the entry after it; with type 'g' for all. */
export function pax(fields: Readonly<Record<string, string>>, type = 'x'): TarEntry {
  const body = Object.entries(fields).map(([key, value]) => paxLine(key, value)).join('')
  return { path: 'PaxHeader', type, body }
}

function paxLine(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`
  let length = Buffer.byteLength(rest)
  while (String(length).length + Buffer.byteLength(rest) !== length) length = String(length).length + Buffer.byteLength(rest)
  return `${length}${rest}`
}

function bodyOf(entry: TarEntry): Buffer {
  return Buffer.isBuffer(entry.body) ? entry.body : Buffer.from(entry.body ?? '')
}

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, '0')
}
