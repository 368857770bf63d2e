import http from 'node:http'
import { ask } from './dev-process.ts'

export interface PollResult {
  readonly replies: number
  /** Connections that were refused or reset. */
  readonly refused: number
  /** Any status but 200, or no reply. */
  readonly failed: number
  /** From the write of each save to its first new reply; milliseconds. */
  readonly savesMs: readonly number[]
  /** Every reply: when it was asked for (process.hrtime(), microseconds) and what it said. */
  readonly seen: readonly { readonly askedUs: number; readonly body: string; readonly status: number }[]
}

export interface PollOptions {
  readonly port: number
  readonly saves: number
  readonly save: (number: number) => void
  /** What the reply says after save `number`. */
  readonly expected: (number: number) => string
  /** Settles before the next save; resolves when the save before is told to be live, for example. */
  readonly between: (number: number) => Promise<void>
  /** A save that has no new reply in this time is an error, and the poll ends. */
  readonly deadlineMs?: number
}

const paceMs = 5

/** Saves again and again while two clients ask every 5 ms: one by a fresh connection each time, one over one connection. */
export async function pollSaves(options: PollOptions): Promise<PollResult> {
  const { port, saves, deadlineMs = 20_000 } = options
  const seen: { askedUs: number; body: string; status: number }[] = []
  let refused = 0
  let failed = 0
  let over = false
  const waiting = new Map<string, (atMs: number) => void>()
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  const asked: Promise<void>[] = []
  const once = async (which: http.Agent | false): Promise<void> => {
    const askedUs = Number(process.hrtime.bigint() / 1000n)
    try {
      const { status, body } = await ask(port, '/', {}, which)
      seen.push({ askedUs, body, status })
      if (status !== 200) failed += 1
      else waiting.get(body)?.(performance.now())
    } catch (error) {
      failed += 1
      if (/ECONNREFUSED|ECONNRESET|socket hang up/.test(String(error))) refused += 1
    }
  }
  // A fresh connection every 5 ms whatever the others do; on the one that is kept the next as soon as the last is answered.
  const timer = setInterval(() => asked.push(once(false)), paceMs)
  const kept = (async () => {
    while (!over) {
      await once(agent)
      await new Promise((resolve) => setTimeout(resolve, paceMs))
    }
  })()
  const savesMs: number[] = []
  try {
    for (let number = 1; number <= saves; number += 1) {
      const expected = options.expected(number)
      const answered = new Promise<number>((resolve, reject) => {
        const late = setTimeout(() => reject(new Error(`save ${number} has no new reply within ${deadlineMs} ms`)), deadlineMs)
        waiting.set(expected, (atMs) => {
          clearTimeout(late)
          waiting.delete(expected)
          resolve(atMs)
        })
      })
      const savedAt = performance.now()
      options.save(number)
      savesMs.push((await answered) - savedAt)
      await options.between(number)
    }
  } finally {
    over = true
    clearInterval(timer)
    await Promise.all([...asked, kept])
    agent.destroy()
  }
  return { replies: seen.length, refused, failed, savesMs, seen }
}

/** Replies of an older version than the newest save that had been noticed when they were asked for. */
export function staleReplies(result: PollResult, noticedUs: readonly number[], versionOf: (body: string) => number): number {
  return result.seen.filter(({ askedUs, body, status }) => {
    if (status !== 200) return false
    const due = noticedUs.filter((us) => us < askedUs).length
    return versionOf(body) < due
  }).length
}
