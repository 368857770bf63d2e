import type { Command } from 'commander'
import { commonOf, given, wholeNumber, type Declare } from './arguments.ts'

/** Declares the verbs that run gracer and end it. */
export const declareRunVerbs: Declare = (program, done) => {
  program
    .command('up')
    .description('run gracer in the foreground: take the port, boot the backend, serve until Ctrl-C or "gracer down"')
    .argument('[CMD...]', 'what boots the backend, after --, as in: gracer up -- node server.js')
    .option('--listen <host:port>', 'the public address; a number alone means loopback, ":8080" every IPv4 address')
    .option('--releases <dir>', 'the folder watched for drops')
    .option('--watch <path>', 'one file or folder that is replaced in place')
    .option('--workers <n>', 'processes that forward requests', wholeNumber(1, 64))
    .action(async (words: string[], own: { listen?: string; releases?: string; watch?: string; workers?: number }, command: Command) => {
      const { config, state, json, color } = commonOf(command)
      const { runUp } = await import('./up.ts')
      done(await runUp({ ...given({ config, state, ...own }), command: words, json, color }))
    })

  program
    .command('init')
    .description('write a commented gracer.json from what lies in this folder')
    .option('--force', 'write it anew where there is one')
    .action(async (own: { force?: boolean }, command: Command) => {
      const { runInit } = await import('./init.ts')
      done(await runInit({ ...commonOf(command), force: own.force === true }))
    })

  program
    .command('reload')
    .description('have the running gracer read its config again: services are added, changed and removed')
    .action(async (_own: unknown, command: Command) => {
      const { runReload } = await import('./reload.ts')
      done(await runReload(commonOf(command)))
    })

  program
    .command('upgrade')
    .description('replace gracer itself, but for its master, by the installed version, under load')
    .option('--from <dir>', 'the folder of the gracer package to use; without it the one this command is of')
    .action(async (own: { from?: string }, command: Command) => {
      const { runUpgrade } = await import('./upgrade.ts')
      done(await runUpgrade({ ...commonOf(command), ...given({ from: own.from }) }))
    })

  program
    .command('down')
    .description('end gracer: what is in flight drains first')
    .action(async (_own: unknown, command: Command) => {
      const { runDown } = await import('./down.ts')
      done(await runDown(commonOf(command)))
    })
}
