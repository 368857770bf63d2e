import type { Command, CommanderError } from 'commander'
import type { ErrorBody } from '../control/shapes.ts'
import { controlSchema } from '../control/shapes.ts'
import { writeJson } from './output.ts'

/** Usage errors: one line that says what was expected and what came; exit 2. */
export function configureUsage(program: Command): void {
  for (const command of [program, ...program.commands.flatMap((one) => [one, ...one.commands])]) {
    command.exitOverride()
    command.configureOutput({ outputError: (text, write) => write(`gracer: ${usageLine(text, command)}\n`) })
  }
}

/** Commander puts its suggestion on a second line, begins with "error: ", and does not say what it expected. */
export function usageLine(text: string, command: Command): string {
  const line = text.replace(/^error: /, '').trim().replace(/\s*\n\s*/g, ' ')
  if (line.startsWith('unknown command')) return `${line}; expected one of ${command.commands.map((known) => known.name()).join(', ')}`
  if (!line.startsWith('unknown option')) return line
  const known = [...command.options, ...(command.parent?.options ?? []), ...(command.parent?.parent?.options ?? [])].map((option) => option.long ?? option.short)
  const separator = command.name() === 'up' || command.name() === 'dev' ? ' (options of the command to run go after --)' : ''
  return `${line}; expected one of ${known.join(', ')}${separator}`
}

/** Asking for help is no error; asking for nothing is one. */
export function usageExitCode(error: CommanderError): number {
  return error.exitCode === 0 ? 0 : 2
}

/** With --json a usage error is a document on stdout, as all errors are; its line stands on stderr already. */
export async function tellUsageError(error: CommanderError): Promise<void> {
  const message = error.message.replace(/^error: /, '').replace(/\s*\n\s*/g, ' ').trim()
  const body: ErrorBody = { schema: controlSchema, error: { code: 'usage', message: message === '(outputHelp)' ? 'no command was given' : message, hint: 'gracer --help lists the commands, gracer COMMAND --help its options', exitCode: 2 } }
  await writeJson(body)
}
