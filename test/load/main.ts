import { GracerError } from '../../inherit/gracer-error.ts'
import { runCommand } from './command.ts'

try {
  process.exitCode = await runCommand(process.argv.slice(2), {
    out: (text) => process.stdout.write(text),
    err: (text) => process.stderr.write(text),
    terminal: process.stderr.isTTY,
    onInterrupt: (act) => process.once('SIGINT', () => {
      process.once('SIGINT', () => process.exit(130))
      act()
    }),
  })
} catch (error) {
  if (!(error instanceof GracerError)) throw error
  process.stderr.write(`${error.message}\n${error.hint === undefined ? '' : `${error.hint}\n`}`)
  process.exitCode = error.exitCode
}
