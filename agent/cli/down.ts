import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { endLeftBehind, leftBehind } from '../../proxy/master/left-behind.ts'
import type { LeftBehind } from '../../proxy/master/left-behind.ts'
import { stateOfPid } from '../../proxy/process-identity.ts'
import type { Status } from '../control/shapes.ts'
import { contextOf } from './context.ts'
import type { CommonOptions } from './options.ts'
import { say, writeJson, writeText } from './output.ts'

const pollMs = 50
/** As the default of drain.stop: the config of a gracer that is gone is not asked. */
const stopMs = 10_000

/** Ends gracer: what is in flight drains first. Waits for the end; Ctrl-C leaves it to go on alone. */
export async function runDown(options: CommonOptions): Promise<number> {
  const context = contextOf(options)
  const left = leftBehind(context.state.processes)
  if (left !== null) return await endWithoutMaster(options, left)
  const { proxy } = await context.client.request<Status>('GET', '/v1/status')
  await context.client.request('POST', '/v1/down', {})
  const leave = (): never => {
    say('detached: gracer goes on draining and then ends')
    process.exit(130)
  }
  process.once('SIGINT', leave)
  say(`gracer (pid ${proxy.pid}) drains and then ends`)
  // The pid alone is not enough: seen from outside a container it names another process or none.
  while (stateOfPid(proxy.pid, null) !== 'dead' || (await answers(context.state.controlSocket))) await delay(pollMs)
  process.off('SIGINT', leave)
  if (options.json) await writeJson({ schema: 1, ok: true, pid: proxy.pid })
  else await writeText('nothing is live now: gracer has ended; "gracer up" starts it again')
  return 0
}

async function endWithoutMaster(options: CommonOptions, left: LeftBehind): Promise<number> {
  say(`the gracer of pid ${left.masterPid} was killed; what it started drains and then ends`)
  await endLeftBehind(left, stopMs)
  if (options.json) await writeJson({ schema: 1, ok: true, pid: left.masterPid })
  else await writeText('nothing is live now: what was left of gracer has ended; "gracer up" starts it again')
  return 0
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.on('error', () => resolve(false))
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
}
