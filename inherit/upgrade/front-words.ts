import type { Channel } from './channel.ts'
import type { Upgraded } from './upgradable.ts'
import { errorBody, type ErrorBody } from './upgradable.ts'
import { UpgradeError, type UpgradeFailure } from './upgrade-error.ts'

/** Keeps a line below the reader's limit. */
const longestReason = 600
const longestLine = 200

/** In a generation: has the front upgrade, and waits for what it says of it. */
export function askFront(channel: Channel, signal: AbortSignal | undefined): Promise<Upgraded> {
  return new Promise((resolve, reject) => {
    const end = (): void => {
      channel.events.off('line', onLine)
      channel.events.off('end', onEnd)
      signal?.removeEventListener('abort', onAbort)
    }
    const onLine = (key: string, value: string): void => {
      if (key === 'UPGRADED') {
        end()
        resolve(JSON.parse(value) as Upgraded)
      } else if (key === 'REFUSED') {
        end()
        const { code, reason, lines, hint } = JSON.parse(value) as ErrorBody
        reject(new UpgradeError(code as UpgradeFailure, reason, { lines, hint: hint ?? undefined }))
      }
    }
    const onEnd = (): void => {
      end()
      reject(new UpgradeError('aborted', 'the parent in front is gone'))
    }
    const onAbort = (): void => void channel.stream.write('UPGRADE=abort\n')
    channel.events.on('line', onLine)
    channel.events.on('end', onEnd)
    if (channel.ended) return onEnd()
    channel.stream.write('UPGRADE=1\n')
    if (signal?.aborted === true) onAbort()
    else signal?.addEventListener('abort', onAbort, { once: true })
  })
}

/** In the front: the line for a failure. */
export function refusal(error: unknown): string {
  const { code, reason, lines, hint } = errorBody(error)
  return JSON.stringify({ code, reason: reason.slice(0, longestReason), lines: lines.slice(-10).map((line) => line.slice(0, longestLine)), hint: hint?.slice(0, longestLine) ?? null } satisfies ErrorBody)
}
