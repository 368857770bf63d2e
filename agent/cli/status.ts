import { setTimeout as delay } from 'node:timers/promises'
import { GracerError } from '../../inherit/gracer-error.ts'
import type { Status } from '../control/shapes.ts'
import { contextOf } from './context.ts'
import type { Context } from './context.ts'
import type { CommonOptions } from './options.ts'
import { writeData, writeJson } from './output.ts'
import { statusText } from './render-status.ts'

export interface StatusOptions extends CommonOptions {
  readonly watch: boolean
}

const watchMs = 500

export async function runStatus(options: StatusOptions): Promise<number> {
  const context = contextOf(options)
  if (!options.watch) {
    const status = await ask(context)
    if (options.json) await writeJson(status)
    else await writeData(`${text(context, status)}\n`)
    return 0
  }
  return await watch(context)
}

/** On a terminal one screen drawn again and again; elsewhere a block, or a line of JSON, whenever something has changed. */
async function watch(context: Context): Promise<never> {
  let before = ''
  for (;;) {
    const status = await ask(context)
    const next = context.options.json ? JSON.stringify(status) : text(context, status)
    if (process.stdout.isTTY && !context.options.json) await writeData(`\u001b[H\u001b[2J${next}\n`)
    else if (next !== before) await writeData(`${next}\n${context.options.json ? '' : '\n'}`)
    before = next
    await delay(watchMs)
  }
}

async function ask(context: Context): Promise<Status> {
  const status = await context.client.request<Status>('GET', '/v1/status')
  const wanted = context.options.service
  if (wanted === undefined) return status
  const services = status.services.filter((service) => service.name === wanted)
  if (services.length > 0) return { ...status, services }
  throw new GracerError(`there is no service ${JSON.stringify(wanted)}; expected one of ${status.services.map((service) => service.name).join(', ')}`, { code: 'no-service', exitCode: 2 })
}

function text(context: Context, status: Status): string {
  return statusText(status, Date.now(), context.width(), context.out)
}
