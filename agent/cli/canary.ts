import { setTimeout as delay } from 'node:timers/promises'
import type { CanaryOrder } from '../canary/canary.ts'
import type { CanaryAnswer, CanaryToken } from '../control/shapes.ts'
import { contextOf, servicePath, type Context } from './context.ts'
import type { CommonOptions } from './options.ts'
import { say, writeData, writeJson, writeText } from './output.ts'
import { canaryText, tokenText } from './render-canary.ts'
import { wrap } from './text.ts'

const watchMs = 500

export async function runCanaryStatus(options: CommonOptions & { readonly watch: boolean }): Promise<number> {
  const context = contextOf(options)
  if (options.watch) return await watch(context)
  const answer = await ask(context)
  if (options.json) await writeJson(answer)
  else await writeText(canaryText(answer, context.out))
  return 0
}

/** Gives an order about the canary that there is; what it did is told first, then how the canary stands. */
export async function runCanaryOrder(options: CommonOptions, order: CanaryOrder): Promise<number> {
  const context = contextOf(options)
  const answer = await context.client.request<CanaryAnswer>('POST', servicePath(context.service, 'canary'), order)
  if (options.json) await writeJson(answer)
  else {
    if (answer.message !== null) say(answer.message)
    await writeText(canaryText(answer, context.out))
  }
  return 0
}

export async function runCanaryToken(options: CommonOptions & { readonly wish: string; readonly forMs: number }): Promise<number> {
  const context = contextOf(options)
  const token = await context.client.request<CanaryToken>('POST', servicePath(context.service, 'canary/token'), { wish: options.wish, forMs: options.forMs })
  if (options.json) await writeJson(token)
  else await writeText(tokenText(token))
  return 0
}

/** On a terminal one screen drawn again and again; elsewhere a block, or a line of JSON, whenever something has changed. Ends with the canary. */
async function watch(context: Context): Promise<number> {
  const isScreen = process.stdout.isTTY && !context.options.json
  for (let before = ''; ; await delay(watchMs)) {
    const answer = await ask(context)
    const next = context.options.json ? JSON.stringify(answer) : wrap(canaryText(answer, context.out), context.width())
    if (isScreen) await writeData(`\u001b[H\u001b[2J${next}\n`)
    else if (next !== before) await writeData(`${next}\n${context.options.json ? '' : '\n'}`)
    if (answer.canary === null) return 0
    before = next
  }
}

function ask(context: Context): Promise<CanaryAnswer> {
  return context.client.request<CanaryAnswer>('GET', servicePath(context.service, 'canary'))
}
