import { GracerError } from '../../inherit/gracer-error.ts'
import type { ErrorBody } from '../control/shapes.ts'
import { controlSchema } from '../control/shapes.ts'
import { wrap } from './text.ts'

/** Data, to stdout. Waits while the reader is slow. */
export async function writeData(text: string): Promise<void> {
  if (process.stdout.write(text)) return
  await new Promise<void>((resolve) => process.stdout.once('drain', resolve))
}

/** Data for a person, to stdout: on a terminal broken at its words. */
export async function writeText(text: string): Promise<void> {
  await writeData(`${wrap(text, widthOf(process.stdout))}\n`)
}

export async function writeJson(value: unknown): Promise<void> {
  await writeData(`${JSON.stringify(value)}\n`)
}

/** Everything that is not data, to stderr: on a terminal broken at its words. */
export function say(text: string): void {
  process.stderr.write(`${wrap(text, widthOf(process.stderr))}\n`)
}

/** Columns; Infinity where it is no terminal. */
export function widthOf(stream: NodeJS.WriteStream): number {
  return stream.isTTY ? stream.columns || 80 : Infinity
}

/** A reader that has seen enough (`gracer logs | head`) ends the command without a word. */
export function endQuietlyOnClosedOutput(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      process.exit(error.code === 'EPIPE' || error.code === 'EIO' ? 0 : 1)
    })
  }
}

/** Tells an error and returns the exit code; with --json the error is a document on stdout as well. */
export async function reportError(error: unknown, json: boolean): Promise<number> {
  const known = error instanceof GracerError ? error : new GracerError(error instanceof Error ? (error.stack ?? error.message) : String(error), { code: 'internal', hint: 'This is a fault of gracer itself.' })
  say(`gracer: ${known.message}`)
  if (known.hint !== undefined) say(`  ${known.hint}`)
  if (json) {
    const body: ErrorBody = { schema: controlSchema, error: { code: known.code, message: known.message, hint: known.hint ?? null, exitCode: known.exitCode } }
    await writeJson(body)
  }
  return known.exitCode
}
