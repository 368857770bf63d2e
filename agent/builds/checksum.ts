import { open } from 'node:fs/promises'
import { basename } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { GracerError } from '../../inherit/gracer-error.ts'
import { checksumEnding, escapeName } from '../drops/name.ts'

const mostBytes = 64 * 1024
/** An empty one is about to be written. */
const patienceMs = 2_000
const lookMs = 50

/**
 * The digest that stands beside the file, in lower-case hex; null: there is none.
 * @throws GracerError 'checksum-unreadable' where it says nothing about the file.
 */
export async function readChecksum(path: string, signal?: AbortSignal): Promise<string | null> {
  const beside = `${path}${checksumEnding}`
  const endMs = performance.now() + patienceMs
  for (;;) {
    const text = await readSmall(beside)
    if (text === null) return null
    const found = parseChecksum(text, basename(path))
    if (found.sha256 !== null) return found.sha256
    if (text.trim() !== '' || performance.now() > endMs) {
      throw new GracerError(`${beside} ${found.why}`, { code: 'checksum-unreadable', hint: `Write it with: sha256sum ${basename(path)} > ${basename(beside)}; or remove it.` })
    }
    await sleep(lookMs, undefined, { signal })
  }
}

export type ParsedChecksum = { readonly sha256: string } | { readonly sha256: null; readonly why: string }

/**
 * Reads what sha256sum writes (`HEX  NAME`, `HEX *NAME`, with --tag `SHA256 (NAME) = HEX`), or the hex alone. Of several
 * lines the one that names the file counts.
 */
export function parseChecksum(text: string, file: string): ParsedChecksum {
  const lines = text.replace(/^\ufeff/, '').split(/\r?\n/).map((line) => line.trim()).filter((line) => line !== '' && !line.startsWith('#'))
  if (lines.length === 0) return { sha256: null, why: 'is empty' }
  const others: string[] = []
  const found = new Set<string>()
  for (const line of lines) {
    // A backslash at the begin says that the name is escaped; ours never need it.
    const plain = /^\\?([0-9A-Fa-f]{64})(?:\s+\*?(.+))?$/.exec(line)
    const tagged = /^SHA256 \((.+)\) = ([0-9A-Fa-f]{64})$/i.exec(line)
    const digest = plain?.[1] ?? tagged?.[2]
    const name = plain?.[2] ?? tagged?.[1]
    if (digest === undefined) return { sha256: null, why: `holds a line that is no SHA-256 digest: ${escapeName(line)}` }
    if (name === undefined ? lines.length === 1 : basename(name) === file) found.add(digest.toLowerCase())
    else others.push(name ?? digest)
  }
  const [first, second] = found
  if (second !== undefined) return { sha256: null, why: `names ${escapeName(file)} twice, with two digests` }
  return first !== undefined ? { sha256: first } : { sha256: null, why: `does not name ${escapeName(file)}, only ${others.slice(0, 3).map(escapeName).join(', ')}` }
}

export function checksumMismatch(path: string, expected: string, found: string): GracerError {
  return new GracerError(`${path} is not what its ${checksumEnding} says: it has sha256 ${found}, and ${basename(path)}${checksumEnding} says ${expected}`, {
    code: 'checksum-mismatch', hint: 'It was damaged on its way, or one of the two is of another build. Copy both again.',
  })
}

/** Null where there is no such file. Never waits for a FIFO. */
async function readSmall(path: string): Promise<string | null> {
  try {
    const handle = await open(path, 0o4000 /* O_NONBLOCK */)
    try {
      if (!(await handle.stat()).isFile()) throw new GracerError(`${path} is not a file`, { code: 'checksum-unreadable', hint: 'Put the output of sha256sum there, or remove it.' })
      const buffer = Buffer.alloc(mostBytes)
      const { bytesRead } = await handle.read(buffer, 0, mostBytes, 0)
      return buffer.toString('utf8', 0, bytesRead)
    } finally {
      await handle.close()
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    if (error instanceof GracerError) throw error
    throw new GracerError(`${path} cannot be read (${(error as NodeJS.ErrnoException).code ?? (error as Error).message})`, { code: 'checksum-unreadable', hint: 'Make it readable for the user that runs gracer, or remove it.', cause: error })
  }
}
