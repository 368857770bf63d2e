import { GracerError } from '../../inherit/gracer-error.ts'
import { PrivateWriter } from './private-writer.ts'
import { tooLarge, type BuildLimits } from './limits.ts'
import type { SourceFile } from './source-file.ts'

/**
 * Copies a single file into a private folder, under that name and without setuid, setgid and sticky.
 * Resolves with its SHA-256. @throws GracerError 'build-too-large', 'build-changed', 'build-empty'; what the file system throws
 */
export async function keepFile(file: SourceFile, { into, name }: { readonly into: string; readonly name: string }, limits: BuildLimits, signal: AbortSignal, progress?: (bytesRead: number) => void): Promise<string> {
  if (file.stats.size === 0) throw new GracerError(`${file.path} is empty`, { code: 'build-empty', hint: 'Copy it again.' })
  if (file.stats.size > limits.maxBytes) throw tooLarge(name, limits)
  const writer = new PrivateWriter(into)
  try {
    await writer.begin(name, (file.stats.mode & 0o755) | 0o600, file.stats.mtime)
    for await (const chunk of file.chunks(signal)) {
      if (file.bytesRead > limits.maxBytes) throw tooLarge(name, limits)
      await writer.write(chunk)
      progress?.(file.bytesRead)
    }
    await writer.end()
    const sha256 = await file.digest()
    await writer.finish()
    return sha256
  } catch (error) {
    await writer.abandon()
    throw error
  }
}
