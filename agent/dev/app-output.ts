export type OutputStream = 'stdout' | 'stderr'

/** The app's output as it comes; with --json stdout is for records. */
export function passOn(stream: OutputStream, chunk: Buffer, json: boolean): void {
  const target = stream === 'stdout' && !json ? process.stdout : process.stderr
  target.write(chunk)
}
