import { InvalidArgumentError, type Command } from 'commander'
import { parsePercent } from '../canary/step-text.ts'
import type { CanaryOrder } from '../canary/canary.ts'
import { commonOf, durationOption, type Declare } from './arguments.ts'

/** Declares `gracer canary` and what can be ordered of one. */
export const declareCanaryVerbs: Declare = (program, done) => {
  const canary = program.command('canary').description('the release that a share of the visitors gets before everybody does').helpCommand(false)

  canary
    .command('status')
    .description('both releases side by side, the evidence against its limit, and what the step waits for')
    .option('--watch', 'again and again, until it is over')
    .action(async (own: { watch?: boolean }, command: Command) => {
      const { runCanaryStatus } = await import('./canary.ts')
      done(await runCanaryStatus({ ...commonOf(command), watch: own.watch === true }))
    })

  const order = (name: string, description: string, wanted: CanaryOrder): void => {
    canary
      .command(name)
      .description(description)
      .action(async (_own: unknown, command: Command) => {
        const { runCanaryOrder } = await import('./canary.ts')
        done(await runCanaryOrder(commonOf(command), wanted))
      })
  }

  canary
    .command('set')
    .description('this share of the visitors from now on; the steps wait for "resume", the verdict does not')
    .argument('<PERCENT>', 'from 0 (testers only) to 99.99, such as "5", "0.25" or "10%"', percent)
    .action(async (share: number, _own: unknown, command: Command) => {
      const { runCanaryOrder } = await import('./canary.ts')
      done(await runCanaryOrder(commonOf(command), { type: 'set', share }))
    })
  order('pause', 'stay at this step; it is judged all the same', { type: 'pause' })
  order('resume', 'go on with the steps', { type: 'resume' })
  order('promote', 'all of the visitors, by the flip that every swap ends with', { type: 'promote' })
  order('abort', 'no new request to it, at once; it is drained and stopped', { type: 'abort' })

  canary
    .command('token')
    .description('a signed override for testers: who sends it gets that release, also at 0%, and is in no figures')
    .argument('<RELEASE>', 'canary, stable, or a release by name or number')
    .addOption(durationOption('--for <duration>', 'how long it holds, at most 24h', 3_600_000))
    .action(async (wish: string, own: { for: number }, command: Command) => {
      const { runCanaryToken } = await import('./canary.ts')
      done(await runCanaryToken({ ...commonOf(command), wish, forMs: Math.max(1_000, own.for) }))
    })
}

/** "5", "0.25" or "10%" as a share from 0 to below 1. */
export function percent(text: string): number {
  const share = parsePercent(text)
  if (share !== undefined && share < 1) return share
  throw new InvalidArgumentError(`expected a percentage from 0 to 99.99 with at most two decimals, got ${JSON.stringify(text)}.`)
}
