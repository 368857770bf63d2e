import { Command, InvalidArgumentError, Option } from 'commander'
import type { Until } from '../control/shapes.ts'
import { parseDuration } from '../config/units.ts'
import type { CommonOptions } from './options.ts'

/**
 * The whole command line. The commands themselves are loaded only when they run, so that `gracer status` starts fast.
 * `done` gets the exit code; a command that throws rejects parseAsync().
 */
export function buildProgram(done: (exitCode: number) => void): Command {
  const program = new Command('gracer')
    .description('Replaces a running HTTP server with its next build, on one machine, without losing a request.')
    .addOption(new Option('--config <file>', 'the config; without it gracer.json here or in the nearest folder above'))
    .addOption(new Option('--state <dir>', 'the state folder; without it GRACER_STATE, else .gracer/ beside the config'))
    .addOption(new Option('--service <name>', 'the service; without it the only one'))
    .addOption(new Option('--json', 'data as JSON, with a schema number'))
    .addOption(new Option('--no-color', 'no colors (NO_COLOR and FORCE_COLOR are respected as well)'))
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .helpCommand(false)

  program
    .command('up')
    .description('run gracer in the foreground: take the port, boot the backend, serve until Ctrl-C or "gracer down"')
    .argument('[CMD...]', 'what boots the backend, after --, as in: gracer up -- node server.js')
    .option('--listen <host:port>', 'the public address; a number alone means loopback, ":8080" every IPv4 address')
    .option('--releases <dir>', 'the folder watched for drops')
    .option('--workers <n>', 'processes that forward requests', wholeNumber(1, 64))
    .action(async (words: string[], own: { listen?: string; releases?: string; workers?: number }, command: Command) => {
      const { config, state, json, color } = commonOf(command)
      const { runUp } = await import('./up.ts')
      done(await runUp({ ...given({ config, state, ...own }), command: words, json, color }))
    })

  program
    .command('swap')
    .description('boot a release, check its health, move the traffic to it, let the old one drain')
    .argument('[RELEASE|PATH]', "a release's name or number, or a path with a slash in it; without it the newest drop, else the same folder afresh")
    .addOption(new Option('--until <phase>', 'return when this is reached').choices(['flip', 'drained', 'confirmed']).default('confirmed'))
    .option('--timeout <duration>', 'bounds everything up to the flip, such as "90s"; undone when it passes (exit 124)', duration)
    .option('--supersede', 'end a swap that is under way, instead of being answered busy')
    .option('--dry-run', 'say what would be done, and do nothing')
    .option('--no-wait', 'return when the swap is accepted')
    .addOption(new Option('--canary <percent>', 'not supported by this version').argParser(notYet('--canary')))
    .action(async (target: string | undefined, own: { until: Until; timeout?: number; supersede?: boolean; dryRun?: boolean; wait: boolean }, command: Command) => {
      const { runSwap } = await import('./swap.ts')
      const flags = { until: own.until, supersede: own.supersede === true, dryRun: own.dryRun === true, wait: own.wait }
      done(await runSwap({ ...commonOf(command), ...flags, ...given({ target, timeoutMs: own.timeout }) }))
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
    .argument('[RELEASE]', 'name or number; without it the one tried last')
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
    .option('-n <lines>', 'so many of the last lines', wholeNumber(0, 9_999_999), 100)
    .action(async (release: string | undefined, own: { follow?: boolean; n: number }, command: Command) => {
      const { runLogs } = await import('./logs.ts')
      done(await runLogs({ ...commonOf(command), follow: own.follow === true, n: own.n, ...given({ release }) }))
    })

  program
    .command('check')
    .description('the config in full and where each value comes from, or every error in it')
    .action(async (_own: unknown, command: Command) => {
      const { runCheck } = await import('./check.ts')
      done(await runCheck(commonOf(command)))
    })

  program
    .command('down')
    .description('end gracer: what is in flight drains first')
    .action(async (_own: unknown, command: Command) => {
      const { runDown } = await import('./down.ts')
      done(await runDown(commonOf(command)))
    })

  program
    .command('version')
    .description('the versions of gracer and Node, and the platform')
    .action(async (_own: unknown, command: Command) => {
      const { runVersion } = await import('./version.ts')
      done(await runVersion(commonOf(command)))
    })

  return program
}

function commonOf(command: Command): CommonOptions {
  const { config, state, service, json, color } = command.optsWithGlobals<Partial<CommonOptions>>()
  return { ...given({ config, state, service }), json: json === true, color: color !== false }
}

type Given<T> = { [K in keyof T]?: Exclude<T[K], undefined> }

/** Without the keys that have no value: an absent option is absent, not undefined. */
function given<T extends object>(values: T): Given<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Given<T>
}

function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (/^\d{1,9}$/.test(text) && value >= least && value <= most) return value
    throw new InvalidArgumentError(`expected a whole number from ${least} to ${most}, got ${JSON.stringify(text)}.`)
  }
}

function duration(text: string): number {
  const ms = parseDuration(text)
  if (ms !== undefined && ms >= 1 && ms <= 24 * 3_600_000) return ms
  throw new InvalidArgumentError(`expected a duration from 1ms to 24h with its unit, such as "90s" or "2m", got ${JSON.stringify(text)}.`)
}

function notYet(flag: string): () => never {
  return () => {
    throw new InvalidArgumentError(`${flag} is not supported by this version of gracer.`)
  }
}
