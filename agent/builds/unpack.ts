import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import type { Parser } from 'tar'
import { GracerError } from '../../inherit/gracer-error.ts'
import { ArchivePlan, type EntryHead } from './archive-plan.ts'
import { tooLarge, tooMany, type BuildLimits } from './limits.ts'
import { PrivateWriter } from './private-writer.ts'
import type { SourceFile } from './source-file.ts'

export interface UnpackOptions {
  /** Empty, and ours alone. */
  readonly into: string
  /** What the archive is called in messages. */
  readonly name: string
  readonly limits: BuildLimits
  readonly signal: AbortSignal
  /** Bytes of the archive that were read so far. */
  readonly progress?: (bytesRead: number) => void
}

export interface Unpacked {
  readonly sha256: string
  /** The names at its top. */
  readonly tops: readonly { readonly name: string; readonly isFolder: boolean }[]
  readonly entries: number
}

type Piece = { readonly head: EntryHead; readonly modified: Date | null } | Buffer | 'end'

const gzipMagic = Buffer.from([0x1f, 0x8b])
/** Beside what is in its files: heads, padding, long names, the zeros at the end. */
const headBytes = 4096
const tailBytes = 1024 * 1024

/**
 * Unpacks a tar archive, compressed by gzip or not, whatever its name says, and hashes it on the way. The first thing in it
 * that is not taken refuses it whole; then the caller has to remove what `into` holds. Heads are read by node-tar, every
 * file is made by us. The event loop has its turn after each 64 KiB.
 * @throws GracerError 'archive-refused', 'archive-damaged', 'build-too-large', 'build-changed'; what the file system throws; the signal's reason
 */
export async function unpack(file: SourceFile, options: UnpackOptions): Promise<Unpacked> {
  const { name, limits, signal } = options
  if (file.stats.size > limits.maxBytes) throw tooLarge(name, limits)
  const compressed = gzipMagic.equals(await file.peek(2))
  const writer = new PrivateWriter(options.into)
  const intake = new Intake(await newParser(), writer, options)
  const raw = Readable.from(file.chunks(signal), { objectMode: false })
  const gunzip = compressed ? createGunzip() : null
  // A pipeline tells of the stream that it broke off, not of why.
  let first: { readonly error: unknown } | null = null
  // And it does not wait for the chunk under way when another stream of it fails.
  let working: Promise<void> = Promise.resolve()
  const take = async (chunks: AsyncIterable<Buffer>): Promise<void> => {
    for await (const chunk of chunks) {
      signal.throwIfAborted()
      working = intake.take(chunk).catch((error: unknown) => {
        first ??= { error }
      })
      await working
      if (first !== null) throw (first as { readonly error: unknown }).error
      options.progress?.(file.bytesRead)
    }
  }
  try {
    await (gunzip === null ? pipeline(raw, take, { signal }) : pipeline(raw, gunzip, take, { signal }))
    const plan = await intake.end()
    if (gunzip !== null && gunzip.bytesWritten < file.stats.size) throw damaged(name, 'something stands behind its end')
    const sha256 = await file.digest()
    for (const { path, target } of plan.symlinks) await writer.symlink(path, target)
    await writer.finish()
    return { sha256, tops: plan.tops(), entries: plan.files }
  } catch (thrown) {
    await working
    await writer.abandon()
    signal.throwIfAborted()
    const error = (first as { readonly error: unknown } | null)?.error ?? thrown
    const code = (error as NodeJS.ErrnoException).code ?? ''
    if (code === 'Z_BUF_ERROR') throw damaged(name, 'it ends in the middle', error)
    if (code.startsWith('Z_')) throw damaged(name, (error as Error).message, error)
    throw error
  }
}

/** Loaded only now: an agent that never meets an archive does without it. */
async function newParser(): Promise<Parser> {
  const { Parser } = await import('tar')
  // Decompression is ours to do: the parser's own blocks the event loop, and is not counted.
  return new Parser({ strict: true, brotli: false, zstd: false })
}

/** Takes the bytes of a tar stream, and carries out what the plan says of them. */
class Intake {
  readonly #parser: Parser
  readonly #writer: PrivateWriter
  readonly #plan: ArchivePlan
  readonly #name: string
  readonly #limits: BuildLimits
  #pieces: Piece[] = []
  #error: Error | null = null
  #ended = false
  #bytes = 0
  #heads = 0
  #current: { readonly head: EntryHead; readonly writes: boolean; left: number } | null = null

  constructor(parser: Parser, writer: PrivateWriter, { name, limits }: UnpackOptions) {
    this.#parser = parser
    this.#writer = writer
    this.#name = name
    this.#limits = limits
    this.#plan = new ArchivePlan(name, limits)
    parser.on('error', (error: Error) => (this.#error ??= error))
    parser.on('eof', () => (this.#ended = true))
    parser.on('meta', () => this.#count())
    parser.on('ignoredEntry', (entry: { path: string; type: string; meta: boolean }) => {
      const what = entry.meta ? 'has a head of more than 1 MiB' : `is of a kind that is not taken (${entry.type})`
      this.#error ??= new GracerError(`${name} is refused: in it, ${JSON.stringify(entry.path)} ${what}`, { code: 'archive-refused', hint: 'Nothing of it was kept. Pack it again without that.' })
    })
    parser.on('entry', (entry) => {
      this.#count()
      const head: EntryHead = { path: entry.path, type: entry.type, mode: entry.mode ?? 0o644, size: entry.header.size === undefined ? NaN : entry.size, linkTarget: entry.linkpath ?? null }
      const { mtime } = entry
      this.#pieces.push({ head, modified: mtime !== undefined && Number.isFinite(mtime.getTime()) ? mtime : null })
      entry.on('data', (chunk: Buffer) => this.#pieces.push(chunk))
      entry.on('end', () => this.#pieces.push('end'))
    })
  }

  async take(chunk: Buffer): Promise<void> {
    if (this.#bytes === 0 && gzipMagic.equals(chunk.subarray(0, 2))) throw damaged(this.#name, 'it is compressed twice')
    this.#bytes += chunk.length
    if (this.#bytes > this.#limits.maxBytes + tailBytes + headBytes * this.#heads) throw tooLarge(this.#name, this.#limits)
    // Two blocks of zeros are its end; what tar pads it with behind them says nothing.
    if (this.#ended) return
    try {
      this.#parser.write(chunk)
    } catch (error) {
      this.#error ??= error as Error
    }
    await this.#work()
  }

  /** @throws GracerError 'archive-damaged' where the end is missing */
  async end(): Promise<ArchivePlan> {
    if (!this.#ended) {
      const { files } = this.#plan
      throw damaged(this.#name, files === 0 ? 'it is no tar archive' : `it ends after ${files} files without the mark that tar sets at the end`)
    }
    this.#parser.end()
    await this.#work()
    if (this.#plan.files === 0) throw damaged(this.#name, 'it is empty')
    return this.#plan
  }

  async #work(): Promise<void> {
    const pieces = this.#pieces
    this.#pieces = []
    for (const piece of pieces) {
      if (piece === 'end') await this.#end()
      else if (Buffer.isBuffer(piece)) await this.#data(piece)
      else await this.#begin(piece.head, piece.modified)
    }
    const error = this.#error
    if (error === null) return
    throw error instanceof GracerError ? error : damaged(this.#name, error.message, error)
  }

  async #begin(head: EntryHead, modified: Date | null): Promise<void> {
    const step = this.#plan.take(head)
    for (const path of this.#plan.newFolders.splice(0)) await this.#writer.folder(path)
    this.#current = { head, writes: step.do === 'file', left: head.size }
    if (step.do === 'file') await this.#writer.begin(step.path, step.mode, modified)
    else if (step.do === 'hard-link') await this.#writer.hardLink(step.path, step.to)
  }

  async #data(chunk: Buffer): Promise<void> {
    const current = this.#current
    if (current === null || !current.writes) throw damaged(this.#name, `${JSON.stringify(current?.head.path ?? '')} is no file and has content`)
    current.left -= chunk.length
    await this.#writer.write(chunk)
  }

  async #end(): Promise<void> {
    const current = this.#current
    this.#current = null
    if (current === null || !current.writes) return
    if (current.left !== 0) throw damaged(this.#name, `${JSON.stringify(current.head.path)} is not as long as its head says`)
    await this.#writer.end()
  }

  #count(): void {
    this.#heads += 1
    if (this.#heads > 3 * this.#limits.maxEntries) this.#error ??= tooMany(this.#name, this.#limits)
  }
}

function damaged(name: string, why: string, cause?: unknown): GracerError {
  return new GracerError(`${name} is no tar archive that could be unpacked: ${why}`, { code: 'archive-damaged', hint: 'It may have been cut off or damaged on its way. Nothing of it was kept; copy it again.', ...(cause === undefined ? {} : { cause }) })
}
