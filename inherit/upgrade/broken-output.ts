const guarded = new WeakSet<object>()

/**
 * A generation outlives the shell, or whoever read its output: a write into a pipe that nobody reads any more must not
 * end it. Any other failure of stdout and stderr stays what it was, fatal where nobody else listens.
 */
export function surviveBrokenOutput(): void {
  for (const stream of [process.stdout, process.stderr]) {
    if (guarded.has(stream)) continue
    guarded.add(stream)
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE' && stream.listenerCount('error') === 1) throw error
    })
  }
}
