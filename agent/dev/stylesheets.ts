import http from 'node:http'
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'

const most = 200
const largest = 4 * 1024 * 1024
const answerMs = 1_000

/** Which stylesheets the app has served, and whether it serves them as they are on disk. */
export class Stylesheets {
  readonly #targets = new Map<string, string>()

  /** A reply of type text/css went by. */
  served(target: string): void {
    const path = target.split('?', 1)[0] ?? ''
    if (this.#targets.size >= most && !this.#targets.has(path)) return
    this.#targets.set(path, target)
  }

  /**
   * True where for each of these files the app answers one address with exactly what is on disk now: then the save is
   * with the browsers without a new boot. An app that keeps its stylesheets in memory, or bundles them, answers with
   * something else; one that was never asked for the file is not asked now.
   */
  async servedFromDisk(files: readonly string[], port: number, host: string): Promise<boolean> {
    const verdicts = await Promise.all(files.map((file) => this.#isServed(file, port, host)))
    return verdicts.every(Boolean)
  }

  async #isServed(file: string, port: number, host: string): Promise<boolean> {
    let content: Buffer
    try {
      content = readFileSync(file)
    } catch {
      return false
    }
    const name = basename(file)
    const candidates = [...this.#targets.entries()].filter(([path]) => path.endsWith(`/${name}`)).map(([, target]) => target)
    if (candidates.length === 0) return false
    const answers = await Promise.all(candidates.map((target) => fetchBytes(port, target, host)))
    return answers.some((answer) => answer?.equals(content) === true)
  }
}

/** The body of a 200, uncompressed; null for anything else. */
function fetchBytes(port: number, path: string, host: string): Promise<Buffer | null> {
  return new Promise((resolve) => {
    const request = http.get({ host: '127.0.0.1', port, path, agent: false, headers: { host, 'accept-encoding': 'identity', 'cache-control': 'no-cache', 'user-agent': 'gracer-dev' } }, (response) => {
      const chunks: Buffer[] = []
      let length = 0
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk)
        length += chunk.length
        if (length > largest) request.destroy()
      })
      response.on('end', () => resolve(response.statusCode === 200 ? Buffer.concat(chunks) : null))
      response.on('error', () => resolve(null))
      response.on('close', () => resolve(null))
    })
    request.setTimeout(answerMs, () => request.destroy())
    request.on('error', () => resolve(null))
  })
}
