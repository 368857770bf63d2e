/**
 * For an unmodified Node program: `node --import <preloadUrl()> app.js`. Everything else is loaded only where a socket was
 * handed down to this very process, so that forks and workers, which inherit `--import`, pay next to nothing.
 */
if (process.env['LISTEN_PID'] === String(process.pid)) {
  const { turnListen } = await import('./turn-listen.ts')
  turnListen()
  if (process.env['GRACER_SPARE'] !== undefined) {
    const { holdUntilTold } = await import('./spare.ts')
    await holdUntilTold()
  }
}

export {}
