import { type Command, Option } from 'commander'
import type { Until } from '../control/shapes.ts'
import { commonOf, duration, durationOption, given, type Declare } from './arguments.ts'
import { percent } from './verbs-canary.ts'

/** Declares the verbs that change which release serves. */
export const declareDeployVerbs: Declare = (program, done) => {
  program
    .command('swap')
    .description('boot a release, check its health, move the traffic to it, let the old one drain')
    .argument('[RELEASE|PATH]', "a release's name or number, or a path with a slash in it; without it the newest drop, else the same folder afresh")
    .addOption(new Option('--until <phase>', 'return when this is reached').choices(['flip', 'drained', 'confirmed']).default('confirmed'))
    .option('--timeout <duration>', 'bounds everything up to the flip, such as "90s"; undone when it passes (exit 124)', duration)
    .option('--supersede', 'end a swap that is under way, instead of being answered busy')
    .option('--dry-run', 'say what would be done, and do nothing')
    .option('--no-wait', 'return when the swap is accepted')
    .option('--canary <percent>', 'begin with this share of the visitors, such as "5" (0: testers only), and go on by itself while it is as good', percent)
    .option('--no-canary', 'all of the visitors at once, whatever the config says')
    .action(async (target: string | undefined, own: { until: Until; timeout?: number; supersede?: boolean; dryRun?: boolean; wait: boolean; canary?: number | boolean }, command: Command) => {
      const { runSwap } = await import('./swap.ts')
      const flags = { until: own.until, supersede: own.supersede === true, dryRun: own.dryRun === true, wait: own.wait }
      done(await runSwap({ ...commonOf(command), ...flags, ...given({ target, timeoutMs: own.timeout, canary: own.canary === false ? 'none' as const : typeof own.canary === 'number' ? own.canary : undefined }) }))
    })

  program
    .command('pause')
    .description('hold the requests of the service; streams and WebSockets go on, health.path is answered')
    .addOption(durationOption('--for <duration>', 'resumes by itself after this, at most 24h', 300_000))
    .action(async (own: { for: number }, command: Command) => {
      const { runPause } = await import('./pause.ts')
      done(await runPause({ ...commonOf(command), forMs: own.for }))
    })

  program
    .command('resume')
    .description('let the held requests go, in their order and not all at once')
    .action(async (_own: unknown, command: Command) => {
      const { runResume } = await import('./pause.ts')
      done(await runResume(commonOf(command)))
    })

  program
    .command('rollback')
    .description('swap back to an earlier release')
    .argument('[RELEASE]', 'name or number; without it the one before the live one')
    .action(async (release: string | undefined, _own: unknown, command: Command) => {
      const { runRollback } = await import('./rollback.ts')
      done(await runRollback({ ...commonOf(command), ...given({ release }) }))
    })

  program
    .command('restart')
    .description('the same release, booted afresh, through a full swap')
    .action(async (_own: unknown, command: Command) => {
      const { runRestart } = await import('./restart.ts')
      done(await runRestart(commonOf(command)))
    })
}
