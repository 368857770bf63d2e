import type { Command } from 'commander'
import { commonOf, given, pastTime, wholeNumber, type Declare } from './arguments.ts'

/** Declares the verbs that only look. */
export const declareLookVerbs: Declare = (program, done) => {
  program
    .command('status')
    .description('what is live, what drains, and the counters that must be 0')
    .option('--watch', 'again and again, until Ctrl-C')
    .action(async (own: { watch?: boolean }, command: Command) => {
      const { runStatus } = await import('./status.ts')
      done(await runStatus({ ...commonOf(command), watch: own.watch === true }))
    })

  program
    .command('explain')
    .description('why a release failed, flipped back or is where it is')
    .argument('[RELEASE]', 'name or number; without it the one under way, else the one tried last where it failed, else the live one')
    .action(async (release: string | undefined, _own: unknown, command: Command) => {
      const { runExplain } = await import('./explain.ts')
      done(await runExplain({ ...commonOf(command), ...given({ release }) }))
    })

  program
    .command('history')
    .description('the receipts of past swaps, newest first')
    .option('-n <count>', 'so many at most', wholeNumber(1, 99_999), 20)
    .action(async (own: { n: number }, command: Command) => {
      const { runHistory } = await import('./history.ts')
      done(await runHistory({ ...commonOf(command), n: own.n }))
    })

  program
    .command('logs')
    .description('what a backend printed')
    .argument('[RELEASE]', 'name or number; without it the live one, with -f whichever is live')
    .option('-f, --follow', 'go on as it grows, until Ctrl-C')
    .option('-n <lines>', 'so many of the last lines (100 where --since is not given)', wholeNumber(0, 9_999_999))
    .option('--since <when>', 'what was printed since: "10m" (ago), "14:05", "2026-11-25 14:05"', pastTime)
    .action(async (release: string | undefined, own: { follow?: boolean; n?: number; since?: number }, command: Command) => {
      const { runLogs } = await import('./logs.ts')
      done(await runLogs({ ...commonOf(command), follow: own.follow === true, n: own.n ?? (own.since === undefined ? 100 : null), ...given({ release, since: own.since }) }))
    })

  program
    .command('check')
    .description('the config in full and where each value comes from, or every error in it')
    .action(async (_own: unknown, command: Command) => {
      const { runCheck } = await import('./check.ts')
      done(await runCheck(commonOf(command)))
    })

  program
    .command('completion')
    .description('print a script that completes verbs, options and releases in your shell')
    .argument('<SHELL>', 'bash, zsh or fish')
    .action(async (shell: string) => {
      const { runCompletion } = await import('./completion.ts')
      done(await runCompletion(shell))
    })

  program
    .command('version')
    .description('the versions of gracer and Node, and the platform')
    .action(async (_own: unknown, command: Command) => {
      const { runVersion } = await import('./version.ts')
      done(await runVersion(commonOf(command)))
    })
}
