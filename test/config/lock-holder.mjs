// A starter: for each line "PATH" on stdin it tries the lock and answers with one line; "release" gives it back.
import { createInterface } from 'node:readline'

const { acquireLock } = await import(new URL('../../dist/agent/state-lock.js', import.meta.url).href)
let lock = null
process.stdout.write('ready\n')
for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'release') {
    lock?.release()
    lock = null
    process.stdout.write('released\n')
    continue
  }
  try {
    lock = acquireLock(line)
    process.stdout.write('won\n')
  } catch (error) {
    process.stdout.write(`${JSON.stringify({ code: error.code, exitCode: error.exitCode, message: error.message })}\n`)
  }
}
