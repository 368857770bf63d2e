import type { Command } from 'commander'
import { buildProgram } from './program.ts'

/** docs/cli.md: the help of every command, and the exit codes. Generated, so that it cannot say anything else than the program. */
export function cliReference(): string {
  const program = buildProgram(() => {})
  for (const command of [program, ...program.commands.flatMap((one) => [one, ...one.commands])]) command.configureHelp({ helpWidth: 100, showGlobalOptions: false }).configureOutput({ getOutHasColors: () => false })
  return [
    '# The command line',
    '',
    'Generated from the program (`npm run docs`); do not edit.',
    '',
    'Data goes to stdout, everything else to stderr. A swap, rollback or restart that went well is told on stdout, one that did not on stderr; with `--json` both are one document on stdout. The options of `gracer` itself may stand before or behind the command.',
    '',
    section('gracer', program),
    ...program.commands.flatMap((command) => [section(`gracer ${command.name()}`, command), ...command.commands.map((one) => section(`gracer ${command.name()} ${one.name()}`, one))]),
    '## Exit codes',
    '',
    '| code | meaning |',
    '| --- | --- |',
    ...exitCodes.map(([code, meaning]) => `| ${code} | ${meaning} |`),
    '',
  ].join('\n')
}

const exitCodes = [
  [0, 'done; with `--until`, that phase is reached'],
  [1, 'failed or flipped back: the old release serves'],
  [2, 'usage or config'],
  [3, 'no agent'],
  [4, 'busy or superseded; for `up`: another gracer runs on this state folder'],
  [124, 'timed out before the flip: undone'],
  [130, 'interrupted'],
] as const

function section(title: string, command: Command): string {
  return `## ${title}\n\n\`\`\`\n${command.helpInformation().trimEnd()}\n\`\`\`\n`
}
