import { InvalidArgumentError, Option, type Command } from 'commander'
import type { DevFlags } from './dev.ts'
import { buildTimeoutDefault } from './dev-words.ts'
import { commonOf, duration, given, type Declare } from './arguments.ts'
import type { InspectAddress } from '../dev/inspector.ts'

export interface Flags {
  listen?: string
  watch?: string[]
  ignore?: string[]
  build?: string
  buildTimeout: number
  keepOld?: boolean
  inject: boolean
  overlap: boolean
  poll?: boolean
  inspect?: InspectAddress
  inspectBrk?: InspectAddress
}

/** Declares `gracer dev`. */
export const declareDevVerb: Declare = (program, done) => {
  program
    .command('dev')
    .description('run the app while you write it: at each save the next request is answered by the new code')
    .argument('[CMD...]', 'what runs the app, after --, as in: gracer dev -- node server.js; without it what package.json says')
    .option('--listen <host:port>', 'the address to open in the browser; a number alone means loopback')
    .option('--watch <path>', 'watch this instead of the working folder; may be given again', collect)
    .option('--ignore <pattern>', 'do not watch this, as in .gitignore; may be given again', collect)
    .option('--build <line>', 'run by the shell before each boot, such as --build "npm run build"')
    .addOption(new Option('--build-timeout <duration>', 'a build that takes longer has failed').argParser(duration).default(buildTimeoutDefault.ms, buildTimeoutDefault.text))
    .option('--keep-old', 'after a failed build or boot serve the old code instead of a page with the error')
    .option('--no-inject', 'no script in HTML pages: they do not reload by themselves')
    .option('--no-overlap', 'end the old code before the new one boots, for apps that cannot run twice')
    .option('--poll', 'look at the files again and again instead of waiting for events of the file system')
    .option('--inspect [host:port]', "node's debugger, on one address for whichever code serves (127.0.0.1:9229)", inspectAddress(false))
    .option('--inspect-brk [host:port]', 'the same, and each boot waits for the debugger', inspectAddress(true))
    .action(async (words: string[], own: Flags, command: Command) => {
      const { runDev } = await import('./dev.ts')
      done(await runDev(devFlags(words, own, command)))
    })
}

/** What the command line comes to. */
export function devFlags(words: readonly string[], own: Flags, command: Command): DevFlags {
  const { config, service, json, color } = commonOf(command)
  return {
    ...given({ config, service, listen: own.listen }), command: words, watch: own.watch ?? [], ignore: own.ignore ?? [], build: own.build ?? null,
    buildTimeoutMs: own.buildTimeout, keepOld: own.keepOld === true, inject: own.inject, overlap: own.overlap, poll: own.poll === true,
    inspect: inspectOf(own.inspectBrk, true) ?? inspectOf(own.inspect, false), json, color,
  }
}

function collect(value: string, before: string[] = []): string[] {
  return [...before, value]
}

/** Commander gives `true` for a flag without its value. */
function inspectOf(value: InspectAddress | true | undefined, brk: boolean): InspectAddress | null {
  if (value === undefined) return null
  return value === true ? { host: '127.0.0.1', port: 9229, brk } : value
}

function inspectAddress(brk: boolean): (text: string) => InspectAddress {
  return (text) => {
    const match = /^(?:(\[[0-9A-Fa-f:.]+\]|[^:\s]+):)?(\d{1,5})$/.exec(text)
    if (match === null || Number(match[2]) > 65_535) throw new InvalidArgumentError('expected [host:]port, such as 9229 or 127.0.0.1:9230.')
    return { host: (match[1] ?? '127.0.0.1').replace(/^\[|\]$/g, ''), port: Number(match[2]), brk }
  }
}
