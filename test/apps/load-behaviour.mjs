// The misbehaviour of the load apps, apart from what they do well. See readBehaviour() for the switches.
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { folder, readBehaviour } from './load-contract.mjs'

export const behaviour = readBehaviour()
const startedAt = performance.now()
let requests = 0

/** Call first of all: what goes wrong before the program would listen. */
export function misbehaveAtBoot() {
  if (behaviour.crashAtBoot) throw new Error('crashing at boot, as ordered: the database is not there')
  if (behaviour.exitAfterMs !== undefined) {
    setTimeout(() => process.exit(behaviour.exitCode ?? 3), behaviour.exitAfterMs)
  }
  if (behaviour.doubleFork) leaveDaemon()
}

/** Calls `listen` when it is time to. */
export function listenWhenDue(listen) {
  if (behaviour.neverListens) {
    setInterval(() => {}, 60_000)
    return
  }
  if (behaviour.listenAfterMs !== undefined) setTimeout(listen, behaviour.listenAfterMs)
  else listen()
}

/** Answers in the app's place when it is to misbehave. True when it did. */
export function misbehave(req, res, release) {
  const health = req.url.split('?')[0] === '/healthz'
  if (!health) requests++
  if (behaviour.redirectTo !== undefined) {
    res.writeHead(301, { location: behaviour.redirectTo, 'x-release': release, 'content-length': 0 })
    res.end()
    return true
  }
  if (failsNow() && (behaviour.fail === 'all' || (behaviour.fail === 'health') === health)) {
    const body = 'broken, as ordered\n'
    res.writeHead(500, { 'x-release': release, 'content-type': 'text/plain', 'content-length': body.length })
    res.end(body)
    req.resume()
    return true
  }
  return false
}

/** Half a reply, and then the whole process is gone. */
export function dieInMidReply(res, release) {
  res.writeHead(200, { 'x-release': release, 'content-length': 1000 })
  res.write('x'.repeat(500), () => process.exit(9))
}

function failsNow() {
  if (behaviour.fail === undefined) return false
  if (behaviour.failAfterMs !== undefined) return performance.now() - startedAt >= behaviour.failAfterMs
  if (behaviour.failAfterRequests !== undefined) return requests > behaviour.failAfterRequests
  return true
}

// In a session and process group of its own and with its parent gone, it is nobody's child: what a supervisor
// that signals the process group does not reach. It ends by itself after two minutes, whatever a test forgets.
function leaveDaemon() {
  const daemon = "['-e', 'setTimeout(() => {}, 120000)'], { detached: true, stdio: 'ignore' }"
  const between = `const d = require('child_process').spawn(process.execPath, ${daemon}); d.unref(); console.log(d.pid)`
  const { stdout } = spawnSync(process.execPath, ['-e', between], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
  writeFileSync(join(folder, 'daemon.pid'), stdout)
}

/** Installs the polite way to go, unless the behaviour says to ignore the signal. */
export function leaveOnSigterm(server, sockets, streams) {
  process.on('SIGTERM', () => {
    if (behaviour.ignoreSigterm) return
    server.close(() => process.exit(0))
    server.closeIdleConnections()
    for (const socket of sockets) socket.close(1001, 'going away')
    for (const stream of streams) stream.end()
  })
}
