import type { PauseAnswer, Status } from '../control/shapes.ts'
import { formatDuration } from '../config/units.ts'
import { contextOf, servicePath, type Context } from './context.ts'
import type { CommonOptions } from './options.ts'
import { writeJson, writeText } from './output.ts'
import { localTime } from './text.ts'

export interface PauseOptions extends CommonOptions {
  readonly forMs: number
}

/** `gracer pause`: requests wait until `gracer resume`, or until the time is over. */
export async function runPause(options: PauseOptions): Promise<number> {
  const context = contextOf(options)
  const answer = await context.client.request<PauseAnswer>('POST', servicePath(context.service, 'pause'), { forMs: options.forMs })
  return await tell(context, answer, pausedText(answer, options.forMs))
}

/** `gracer resume`: what waited goes on, not all at once. */
export async function runResume(options: CommonOptions): Promise<number> {
  const context = contextOf(options)
  const answer = await context.client.request<PauseAnswer>('POST', servicePath(context.service, 'resume'), {})
  const was = answer.pausedUntilBefore === null ? `${answer.service} was not paused` : `requests of ${answer.service} are answered again, those that waited first`
  return await tell(context, answer, was)
}

/** Pure: until when; of a second pause also what it changed. */
export function pausedText({ service, pausedUntil, pausedUntilBefore }: PauseAnswer, forMs: number): string {
  const waits = `requests of ${service} wait, until "gracer resume${service === 'default' ? '' : ` --service ${service}`}" or ${formatDuration(forMs)} from now`
  if (pausedUntil === null || pausedUntilBefore === null) return waits
  const change = Date.parse(pausedUntil) < Date.parse(pausedUntilBefore) ? 'shorter' : 'longer'
  return `${waits}; it was paused already, until ${localTime(pausedUntilBefore)}, and the pause is ${change} now`
}

async function tell(context: Context, answer: PauseAnswer, what: string): Promise<number> {
  if (context.options.json) {
    await writeJson(answer)
    return 0
  }
  const status = await context.client.request<Status>('GET', '/v1/status')
  const live = status.services.find((one) => one.name === answer.service)?.live ?? null
  await writeText(`${live ?? 'nothing'} is live now: ${what}`)
  return 0
}
