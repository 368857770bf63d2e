import { join } from 'node:path'
import { sendToParent } from '../proxy/channel.ts'
import { openLog } from '../proxy/log.ts'
import { protocolVersion, type FromAgent } from '../proxy/messages.ts'
import { keepConfig, keptConfig } from './config/kept.ts'
import { loadConfig } from './config/load.ts'
import type { Config } from './config/types.ts'
import { startControlServer } from './control/server.ts'
import { FrontChores } from './front-chores.ts'
import { createHandlers } from './handlers.ts'
import { awaitHello, MasterLink } from './master-link.ts'
import { collectMetrics } from './metrics/collect.ts'
import { rotateLog } from './service/rotate-log.ts'
import { Services } from './services.ts'
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

let rotating = false
setInterval(() => {
  if (rotating) return
  rotating = true
  rotateLog(state.logFile, mostOwnLogBytes).catch((error: Error) => {
    log.warn('logs.not-cut', { file: state.logFile, error: error.message })
  }).finally(() => {
    rotating = false
  })
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
    // A kept config of a version before there were several services has no `form`: better none than half of one.
    if (kept?.form === undefined) throw error
    log.error('config.invalid', { error: (error as Error).message }, 'The config is not valid; until it is, the last valid one is used and swaps are refused.')
    return kept
  }
}

const chores = new FrontChores({ state, log, metrics: () => collectMetrics(link, services.all(), packageVersion()) })
const services: Services = new Services({ link, state, log, config: readFirst(), read: readAll, applied: (config) => chores.apply(config) })
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
    default:
      services.fromMaster(message)
  }
})

const upgradeDesk = new UpgradeDesk(link, packageVersion(), () => services.all())

const control = await startControlServer({
  socketPath: state.controlSocket,
  handlers: createHandlers({ link, version: packageVersion(), services, upgradeDesk }),
  log: { warn: (fields, message) => log.warn('control.warn', fields, message), error: (fields, message) => log.error('control.error', fields, message) },
})
await services.start()
void chores.apply(services.config)
link.say({ type: 'ready' })
log.info('agent.ready', { epoch: link.hello.epoch })

async function quiesce(): Promise<void> {
  await services.close()
  link.say({ type: 'quiesced', ...longestDrain(services.all().map((service) => service.config)) })
  await control.close()
}
