import { Command, Option } from 'commander'
import { declareCanaryVerbs } from './verbs-canary.ts'
import { declareDeployVerbs } from './verbs-deploy.ts'
import { declareDevVerb } from './verb-dev.ts'
import { declareLookVerbs } from './verbs-look.ts'
import { declareRunVerbs } from './verbs-run.ts'
import { packageVersion } from '../version.ts'

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
    .version(packageVersion(), '--version', 'the version of gracer')

  for (const declare of [declareRunVerbs, declareDeployVerbs, declareCanaryVerbs, declareLookVerbs, declareDevVerb]) declare(program, done)
  return program
}
