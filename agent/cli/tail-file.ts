import { open, stat } from 'node:fs/promises'

const chunkBytes = 64 * 1024
/** So many of the last bytes read are remembered, to find the place again after a rotation. */
const anchorBytes = 256

/** A place in a log: below 0 so far before the beginning of the file, in what a rotation moved to `.1`. */
type Place = number

/**
 * Reads a growing log from where it left off, over the rotation of `rotate-log.ts`: what was cut from its front stands
 * in `.1`, and is read there by whoever has not read it yet. It holds no descriptor. A file that is shorter without such
 * a `.1` was truncated, one with another inode was replaced: both are read from their beginning.
 */
export class FileTail {
  readonly path: string
  #place: Place
  #inode: number | null = null
  /** The `.1` that the place is reckoned by; undefined until the first look. */
  #aside: Found | null | undefined
  #anchor = Buffer.alloc(0)
  #restarted = false

  /** `place`: bytes to leave out. */
  constructor(path: string, place: Place = 0) {
    this.path = path
    this.#place = place
  }

  /**
   * A tail that begins with the last `lines` lines (null: with the oldest there is), and not before the place `from`; of
   * a file that is not there yet, at its beginning.
   */
  static async at(path: string, lines: number | null, from: Place | null = null): Promise<FileTail> {
    const aside = await lookAt(`${path}.1`)
    const oldest = -(aside?.size ?? 0)
    const place = lines === null ? oldest : await lastLinesPlace(path, -oldest, lines)
    const tail = new FileTail(path, Math.max(place, from ?? oldest))
    tail.#aside = aside
    return tail
  }

  /** True once after lines went that were not read, or the file was truncated or replaced. */
  takeRestarted(): boolean {
    const restarted = this.#restarted
    this.#restarted = false
    return restarted
  }

  /** The next bytes, at most 64 KiB; null: nothing new, or no file. */
  async read(): Promise<Buffer | null> {
    const [found, aside] = await Promise.all([lookAt(this.path), lookAt(`${this.path}.1`)])
    if (found === null) return null
    if (this.#aside === undefined) this.#aside = aside
    if (this.#inode !== null && found.inode !== this.#inode) this.#begin(0)
    else if (aside !== null && aside.identity !== this.#aside?.identity) {
      // Only its beginning has a name yet: the rest of this log is looked for once both are there.
      await this.#follow(aside)
    } else if (found.size < this.#place) {
      if ((await lookAt(`${this.path}.1.next`)) !== null) return null
      // The rotation may have ended between the two looks.
      if ((await lookAt(`${this.path}.1`))?.identity !== aside?.identity) return null
      this.#begin(0)
    }
    this.#inode = found.inode
    this.#aside = aside
    const bytes = await this.#next()
    // A cut since the look has moved what stands at the place: it is not what was to be read.
    if (bytes === null || ((await lookAt(this.path))?.size ?? 0) < found.size) return null
    this.#place += bytes.length
    this.#anchor = Buffer.from(Buffer.concat([this.#anchor, bytes]).subarray(-anchorBytes))
    return bytes
  }

  #begin(place: Place): void {
    this.#place = place
    this.#anchor = Buffer.alloc(0)
    this.#restarted = true
  }

  /** The front of the log is a new `.1`. What stands before the place must be what was read, or more than this was cut. */
  async #follow(aside: Found): Promise<void> {
    const place = this.#place - aside.size
    const begin = Math.max(-aside.size, place - this.#anchor.length)
    const inAside = begin < 0 ? await readAt(`${this.path}.1`, aside.size + begin, Math.min(place, 0) - begin) : null
    const inFile = place > 0 ? await readAt(this.path, Math.max(0, begin), place - Math.max(0, begin)) : null
    const before = Buffer.concat([inAside, inFile].filter((bytes) => bytes !== null))
    const wanted = this.#anchor.subarray(this.#anchor.length - Math.max(0, place - begin))
    if (this.#place >= 0 && before.equals(wanted)) this.#place = place
    else this.#begin(-aside.size)
  }

  async #next(): Promise<Buffer | null> {
    if (this.#place >= 0) return await readAt(this.path, this.#place, chunkBytes)
    const size = this.#aside?.size ?? 0
    if (this.#place < -size) this.#place = -size
    if (this.#place < 0) return await readAt(`${this.path}.1`, size + this.#place, Math.min(chunkBytes, -this.#place))
    return await readAt(this.path, 0, chunkBytes)
  }
}

interface Found {
  readonly inode: number
  /** Of what is not written to any more: the number of an inode comes again. */
  readonly identity: string
  readonly size: number
}

async function lookAt(path: string): Promise<Found | null> {
  const found = await stat(path).catch(ignoreMissing)
  return found === null ? null : { inode: found.ino, identity: `${found.ino} ${found.mtimeMs}`, size: found.size }
}

/** null: there is nothing, or no file. */
async function readAt(path: string, position: number, most: number): Promise<Buffer | null> {
  const handle = await open(path, 'r').catch(ignoreMissing)
  if (handle === null) return null
  try {
    const buffer = Buffer.allocUnsafe(most)
    const { bytesRead } = await handle.read(buffer, 0, most, position)
    return bytesRead === 0 ? null : buffer.subarray(0, bytesRead)
  } finally {
    await handle.close()
  }
}

function ignoreMissing(error: unknown): null {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
  throw error
}

/** Where the last `lines` lines begin; read backward, so that the size of the log does not matter. */
async function lastLinesPlace(path: string, asideSize: number, lines: number): Promise<Place> {
  const size = (await lookAt(path))?.size ?? 0
  if (lines === 0) return size
  let wanted = lines
  let last = true
  for (let end = size; end > -asideSize; ) {
    // A chunk lies in one of the two files.
    const begin = Math.max(end > 0 ? 0 : -asideSize, end - chunkBytes)
    const bytes = end > 0 ? await readAt(path, begin, end - begin) : await readAt(`${path}.1`, asideSize + begin, end - begin)
    const length = bytes?.length ?? 0
    // The newline that ends the last line begins no other.
    for (let at = length - (last && bytes?.[length - 1] === 0x0a ? 2 : 1); at >= 0; at--) {
      if (bytes?.[at] === 0x0a && --wanted === 0) return begin + at + 1
    }
    last = false
    end = begin
  }
  return -asideSize
}
