#!/usr/bin/env node
import { plainDevFlags } from './dev-words.ts'
import { endQuietlyOnClosedOutput, reportError } from './output.ts'

endQuietlyOnClosedOutput()

// A command may leave a connection or a timer behind; what it wrote to a pipe or a file is written already (process I/O
// is synchronous for both on POSIX).
process.exit(await main(process.argv.slice(2)))

async function main([verb, ...words]: readonly string[]): Promise<number> {
  const flags = verb === 'dev' ? plainDevFlags(words) : null
  if (flags === null) return await (await import('./run.ts')).run()
  try {
    return await (await import('./dev.ts')).runDev(flags)
  } catch (error) {
    return await reportError(error, flags.json)
  }
}
