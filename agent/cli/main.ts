#!/usr/bin/env node
import { CommanderError } from 'commander'
import { endQuietlyOnClosedOutput, reportError } from './output.ts'
import { buildProgram } from './program.ts'
import { configureUsage, usageExitCode } from './usage.ts'

endQuietlyOnClosedOutput()

let exitCode = 0
const program = buildProgram((code) => {
  exitCode = code
})
configureUsage(program)

try {
  await program.parseAsync()
} catch (error) {
  exitCode = error instanceof CommanderError ? usageExitCode(error) : await reportError(error, process.argv.includes('--json'))
}
// A command may leave a connection or a timer behind; what it wrote to a pipe or a file is written already (process I/O
// is synchronous for both on POSIX).
process.exit(exitCode)
