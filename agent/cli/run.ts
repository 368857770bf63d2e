import { CommanderError } from 'commander'
import { reportError } from './output.ts'
import { buildProgram } from './program.ts'
import { configureUsage, tellUsageError, usageExitCode } from './usage.ts'

/** Reads the command line, runs the command, and returns the exit code. */
export async function run(): Promise<number> {
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
    if (!(error instanceof CommanderError)) return await reportError(error, json)
    exitCode = usageExitCode(error)
    if (json && exitCode !== 0) await tellUsageError(error)
  }
  return exitCode
}
