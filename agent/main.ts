import { join } from 'node:path'
import { GracerError } from '../inherit/gracer-error.ts'
import { sendToParent } from '../proxy/channel.ts'
import { openLog } from '../proxy/log.ts'
import { protocolVersion, type FromAgent } from '../proxy/messages.ts'
import { keepConfig, keptConfig } from './config/kept.ts'
import { loadConfig } from './config/load.ts'
import type { Config, ServiceConfig } from './config/types.ts'
import { startControlServer } from './control/server.ts'
import { startFrontChores } from './front-chores.ts'
import { createHandlers } from './handlers.ts'
import { awaitHello, MasterLink } from './master-link.ts'
import { collectMetrics } from './metrics/collect.ts'
import { capLog } from './service/cap-log.ts'
import { forService } from './service-link.ts'
import { Service } from './service/service.ts'
import type { AgentStart } from './start.ts'
import { longestDrain } from './service/longest-drain.ts'
import { openStateFolder } from './state-folder.ts'
import { UpgradeDesk } from './upgrade-desk.ts'
import { packageVersion } from './version.ts'

// The program that the master starts as its agent: composition only.

const aliveMs = 1_000
/** gracer's own log, with the copy before it, takes at most twice this. */
const mostOwnLogBytes = 4 * 1024 * 1024
const ownLogLookMs = 5_000

const start = JSON.parse(process.argv[2] ?? '{}') as AgentStart
const state = openStateFolder(start.state)
const log = openLog(state.logFile, 'agent', start.logLevel)
process.title = 'gracer agent'

// Its channel alone is obeyed: a Ctrl-C in the terminal is for the master to judge.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => {})
process.on('SIGHUP', () => {})
// Without a master there is nothing an agent could order.
process.on('disconnect', () => process.exit(0))
process.on('uncaughtException', (error) => {
  log.error('agent.uncaught', { error: error.message, stack: error.stack })
  // The next agent finds the journal as it was before this step, and finishes or undoes.
  process.exit(1)
})

// The master gives a turn only to an agent that has loaded everything and speaks as it does.
sendToParent({ type: 'loaded', protocol: protocolVersion, version: packageVersion() } satisfies FromAgent)
const link = new MasterLink(await awaitHello())
setInterval(() => link.say({ type: 'alive' }), aliveMs)

setInterval(() => {
  try {
    capLog(state.logFile, mostOwnLogBytes)
  } catch (error) {
    log.warn('logs.not-cut', { file: state.logFile, error: (error as Error).message })
  }
}, ownLogLookMs)

const keptPath = join(state.path, 'config.json')

function readAll(): Config {
  const read = loadConfig({ ...(start.configFile === null ? {} : { file: start.configFile }), cwd: start.cwd, overrides: start.overrides })
  try {
    keepConfig(keptPath, read)
  } catch (error) {
    log.warn('config.not-kept', { path: keptPath, error: (error as Error).message })
  }
  return read
}

/** A config that became invalid since refuses swaps; it must not keep an agent from looking after what runs. */
function readFirst(): Config {
  try {
    return readAll()
  } catch (error) {
    const kept = keptConfig<Config>(keptPath)
    if (kept === null) throw error
    log.error('config.invalid', { error: (error as Error).message }, 'The config is not valid; until it is, the last valid one is used and swaps are refused.')
    return kept
  }
}

const config = readFirst()

function readService(name: string): ServiceConfig {
  const found = readAll().services.find((service) => service.name === name)
  if (found !== undefined) return found
  throw new GracerError(`the config no longer has a service ${name}`, { code: 'config-invalid', exitCode: 2 })
}

const services = new Map(
  config.services.map((one) => [
    one.name,
    new Service({ config: one, link, state, log, readConfig: () => readService(one.name), workingFolder: one.releases === null ? config.base : null }),
  ]),
)
link.listen((message) => {
  switch (message.type) {
    case 'quiesce':
      void quiesce()
      break
    case 'exit':
      process.exit(0)
      break
    case 'upgrade':
      upgradeDesk.heard(message.report)
      break
    default: {
      const word = forService(message)
      if (word !== null) services.get(word.service)?.runner.fromMaster(word.message)
    }
  }
})

const upgradeDesk = new UpgradeDesk(link, () => [...services.values()])

const control = await startControlServer({
  socketPath: state.controlSocket,
  handlers: createHandlers({ link, version: packageVersion(), services, upgradeDesk }),
  log: { warn: (fields, message) => log.warn('control.warn', fields, message), error: (fields, message) => log.error('control.error', fields, message) },
})
for (const service of services.values()) await service.start()
startFrontChores(config, state, log, () => collectMetrics(link, services, packageVersion()))
link.say({ type: 'ready' })
log.info('agent.ready', { epoch: link.hello.epoch })

async function quiesce(): Promise<void> {
  await Promise.all([...services.values()].map((service) => service.close()))
  link.say({ type: 'quiesced', ...longestDrain(config.services) })
  await control.close()
}
