#!/usr/bin/env node
import { CommanderError } from 'commander'
import { endQuietlyOnClosedOutput, reportError } from './output.ts'
import { buildProgram } from './program.ts'
import { configureUsage, tellUsageError, usageExitCode } from './usage.ts'

endQuietlyOnClosedOutput()

let exitCode = 0
const program = buildProgram((code) => {
  exitCode = code
})
configureUsage(program)

// Behind -- stand the options of somebody else's program.
const own = process.argv.includes('--') ? process.argv.slice(0, process.argv.indexOf('--')) : process.argv
const json = own.includes('--json')

try {
  await program.parseAsync()
} catch (error) {
  if (error instanceof CommanderError) {
    exitCode = usageExitCode(error)
    if (json && exitCode !== 0) await tellUsageError(error)
  } else exitCode = await reportError(error, json)
}
// A command may leave a connection or a timer behind; what it wrote to a pipe or a file is written already (process I/O
// is synchronous for both on POSIX).
process.exit(exitCode)
