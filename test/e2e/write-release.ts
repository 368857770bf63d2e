import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { GracerProcess } from '../support/gracer-process.ts'

/** Files of a release, by path: their text. */
export type Files = Readonly<Record<string, string>>

/** Writes a release of a test's own beside the drop folder, where gracer does not look. Returns its path. */
export function writeRelease(gracer: GracerProcess, name: string, files: Files): string {
  return writeFiles(join(gracer.folder, 'staging', name), files)
}

export function writeFiles(folder: string, files: Files): string {
  mkdirSync(folder, { recursive: true })
  for (const [path, text] of Object.entries(files)) {
    const file = join(folder, path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text)
  }
  return folder
}

/**
 * The start of a program that writes down who asks it for what, in requests.log beside it: `record(req)`, and its
 * boots, in boots.log: so a test can see that nobody but the health check ever reached it.
 */
export const recording = `
import http from 'node:http'
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
appendFileSync(join(import.meta.dirname, 'boots.log'), process.pid + '\\n')
const record = (req) => appendFileSync(join(import.meta.dirname, 'requests.log'), (req.headers['user-agent'] ?? 'unknown') + ' ' + req.url + '\\n')
const release = process.env.GRACER_RELEASE
`

/** A program that answers everything alike, as soon as it has recorded it. `answer` is the body of a request listener. */
export function server(answer: string, listen = 'process.env.PORT, process.env.HOST'): string {
  return `${recording}\nhttp.createServer((req, res) => { record(req); res.setHeader('x-release', release); ${answer} }).listen(${listen})\n`
}
