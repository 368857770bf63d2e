import { resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { GracerError } from '../../inherit/gracer-error.ts'
import { stateOfPid } from '../../proxy/process-identity.ts'
import type { UpgradeReport } from '../../proxy/messages.ts'
import type { Status, UpgradeAnswer } from '../control/shapes.ts'
import { packageRoot } from '../version.ts'
import { contextOf, type Context } from './context.ts'
import type { CommonOptions } from './options.ts'
import { say, writeJson, writeText } from './output.ts'
import { count, took } from './text.ts'

export interface UpgradeOptions extends CommonOptions {
  /** The folder of another installation; absent: the one that this command is of. */
  readonly from?: string
}

const pollMs = 100
/** Between the old agent's end and the new one's first answer; a busy machine takes its time. */
const absenceMs = 30_000

/** `gracer upgrade`: replaces workers and agent of the running gracer by the installed version. */
export async function runUpgrade(options: UpgradeOptions): Promise<number> {
  const context = contextOf(options)
  const root = options.from === undefined ? packageRoot() : resolve(options.from)
  const { proxy } = await context.client.request<Status>('GET', '/v1/status')
  const { report } = await context.client.request<UpgradeAnswer>('POST', '/v1/upgrade', { root })
  if (report.state === 'running') say(`from ${report.from} to ${report.to}: new workers, then a new agent; what is old stays until what is new has come up`)
  const ended = await followUpgrade(context, proxy.pid)
  const status = await context.client.request<Status>('GET', '/v1/status')
  if (options.json) await writeJson({ schema: 1, report: ended, live: status.services.map(({ name, live }) => ({ service: name, live })) })
  const text = upgradeText(ended, status)
  if (ended.state === 'failed') {
    say(text)
    return ended.exitCode
  }
  if (!options.json) await writeText(text)
  return 0
}

type Ended = Exclude<UpgradeReport, { state: 'running' | 'none' }>

/** Asks whichever agent there is until the upgrade has ended. @throws GracerError 'agent-gone' (exit 3) where none answers any more. */
async function followUpgrade(context: Context, master: number): Promise<Ended> {
  let answered = performance.now()
  for (;;) {
    const answer = await context.client.request<UpgradeAnswer>('GET', '/v1/upgrade').catch((error: unknown) => {
      if (!(error instanceof GracerError) || error.exitCode !== 3 || performance.now() - answered > absenceMs) throw error
      if (stateOfPid(master, null) === 'dead') throw new GracerError('gracer ended while it was being upgraded', { code: 'agent-gone', exitCode: 3, hint: 'Start it again with "gracer up".' })
      return null
    })
    if (answer !== null) {
      answered = performance.now()
      const { report } = answer
      if (report.state === 'none') throw new GracerError('gracer was started again while it was being upgraded', { code: 'agent-gone', exitCode: 3, hint: '"gracer status" shows what runs.' })
      if (report.state !== 'running') return report
    }
    await delay(pollMs)
  }
}

/** Pure: how an upgrade ended, what is live first. */
export function upgradeText(report: Ended, status: Status): string {
  const live = status.services.map(({ name, live: label }) => `${status.services.length === 1 ? '' : `${name}: `}${label ?? 'nothing'} is live`).join(', ')
  if (report.state === 'failed') {
    return [`${live}; gracer ${report.from} goes on: ${report.message}`, ...(report.hint === null ? [] : [`  ${report.hint}`])].join('\n')
  }
  const done = `${live}; gracer ${report.to} runs (before: ${report.from}): ${count(report.workers.now.length, 'worker')} and the agent replaced in ${took(report.milliseconds)}`
  const old = report.workers.before.length === 0 ? [] : [`  old workers ${report.workers.before.join(' ')} finish what they have and then end`]
  const master = report.masterChanged
    ? [
        `  the master (pid ${status.proxy.pid}) stays ${status.proxy.version}, and its code has changed. To have the new one too, start gracer again:`,
        '  under systemd with a socket unit "systemctl restart gracer", nothing is refused meanwhile; otherwise "gracer down" and "gracer up"',
      ]
    : []
  return [done, ...old, ...master].join('\n')
}
