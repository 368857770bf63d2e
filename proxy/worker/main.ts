import { takeUpSockets } from '../../inherit/inherited-sockets.ts'
import { AccessLog } from '../access/access-log.ts'
import { isMessage } from '../channel.ts'
import { createFront } from '../forward/front.ts'
import { openLog } from '../log.ts'
import type { ToWorker } from '../messages.ts'
import { numberOfKey } from '../release-key.ts'
import { Drains } from './drains.ts'
import { Evidence } from './evidence.ts'
import { Ledger, nowUs } from './ledger.ts'
import { WaitingPicker } from './picker.ts'
import { PublicSocket } from './public-socket.ts'
import { WorkerRoutes } from './routes.ts'
import { ServiceFinder } from './service-for.ts'
import { Serving } from './serving.ts'
import type { WorkerStart } from './start.ts'
import { Shadow } from './shadow.ts'
import { UserNotes } from './user-notes.ts'
import { say, Worker } from './worker.ts'

// The program that a master starts as its worker: composition only.

const start = JSON.parse(process.argv[2] ?? '{}') as WorkerStart
const log = openLog(start.logFile, 'worker', start.logLevel)
process.title = `gracer worker ${start.index}`

const sockets = takeUpSockets()
const routes = new WorkerRoutes()
const ledger = new Ledger((release) => worker.idle(release))
const evidence = new Evidence({ send: (batch) => say({ type: 'evidence', ...batch }), nowMs: () => nowUs() / 1_000 })
const users = new UserNotes({ send: (news) => say({ type: 'users', ...news }), nowMs: () => nowUs() / 1_000 })
const shadow = new Shadow({ send: (news) => say({ type: 'shadow', ...news }) })
const fellBack = new Set<string>()
const picker = new WaitingPicker({
  routes,
  ledger,
  evidence,
  users,
  shadow,
  workers: start.workers,
  onFallback(service, release, number) {
    // Said once for each table: the agent needs to hear it, not to hear it of every request.
    const key = `${release}:${number}`
    if (fellBack.has(key)) return
    fellBack.add(key)
    log.warn('worker.fell-back', { service, release: numberOfKey(release), table: number })
    say({ type: 'fell-back', service, release, number, error: 'connection refused' })
  },
})
const serving = new Serving({
  first: start,
  open: (settings) => new AccessLog({
    ...settings,
    dropped(service, lines) {
      ledger.waits(service).accessDropped += lines
      ledger.version += 1
    },
    log: (event, fields) => log.warn(event, fields),
  }),
  setLimits: (limits) => front.setLimits(limits),
})
const finder = new ServiceFinder()
const front = createFront({
  picker,
  serviceFor: (host, path) => finder.find(routes.table, host, path),
  trustProxy: () => serving.trustProxy,
  limits: start.limits,
  workers: start.workers,
  refused: (service, code) => ledger.refused(service, code),
  access: () => serving.access,
  log: (level, event, fields) => log[level](event, fields),
})
const drains = new Drains({ ledger, retire: (release) => front.retire(release), servesAssets: (release) => routes.mayPick(release), onQuiet: (release, order) => worker.quiet(release, order) })
const publicSocket = new PublicSocket(start.standsBy ? null : (sockets.take({ name: 'public' }) ?? 'missing'), {
  server: front.server,
  listening: () => say({ type: 'listening' }),
  failed(code, message) {
    say({ type: 'listen-failed', code, message })
    log.error('worker.listen-failed', { error: message })
    process.exit(1)
  },
  troubled: (error) => log.error('worker.not-accepting', { error }, 'A connection could not be accepted.'),
})
const worker = new Worker({
  routes, ledger, picker, evidence, users, drains, front, tableFile: start.tableFile, log,
  idleMs: () => serving.limits.idleMs,
  serve: (settings) => serving.apply(settings),
  listen: () => publicSocket.listen(),
  exit(code) {
    serving.close()
    process.exit(code)
  },
})

process.on('message', (value, handle) => {
  if (!isMessage(value)) return
  if (value.type === 'socket') publicSocket.given(handle)
  else worker.handle(value as ToWorker)
})
process.on('disconnect', () => {
  if (publicSocket.awaited) process.exit(0)
  worker.masterVanished()
})
// Workers obey only their channel: a Ctrl-C or a SIGTERM to the group is for the master to judge.
// With the channel gone, SIGTERM is the word of the next master.
process.on('SIGINT', () => {})
process.on('SIGHUP', () => {})
process.on('SIGTERM', () => {
  if (process.connected !== true) worker.leave()
})
process.on('uncaughtException', (error) => {
  // One request's trouble must not end the others': say it loudly and serve on.
  log.error('worker.uncaught', { error: error.message, stack: error.stack })
})
worker.start()
