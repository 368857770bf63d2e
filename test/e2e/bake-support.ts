import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { moveIn, stageRelease } from '../support/drop.ts'
import type { GracerProcess } from '../support/gracer-process.ts'
import { nowNs } from './kill-support.ts'

/** What a release can be ordered to do at a moment that the test chooses: by a file, looked for at every turn. */
export type Order = 'sick' | 'broken' | 'exit'

/**
 * Drops a release with switches: `sick` makes its health check answer 500, `broken` everything else, and `exit` ends
 * it with code 7. `health`, a file for all releases alike, is the database that both of them need.
 */
export async function dropSwitched(gracer: GracerProcess, name: string): Promise<void> {
  const path = await stageRelease(gracer, name)
  addSwitches(gracer, path, name)
  await moveIn(gracer, path, name)
}

/** Puts the switches into the release folder `path`, before its app is loaded. */
export function addSwitches(gracer: GracerProcess, path: string, name: string): void {
  mkdirSync(join(gracer.folder, 'orders'), { recursive: true })
  const server = readFileSync(join(path, 'server.mjs'), 'utf8')
  const app = /import (".*")/.exec(server)?.[1] ?? '""'
  const order = (word: string): string => JSON.stringify(orderFile(gracer, name, word as Order))
  writeFileSync(join(path, 'server.mjs'), `
import { existsSync } from 'node:fs'
import { Server } from 'node:http'
const emit = Server.prototype.emit
Server.prototype.emit = function (event, req, res) {
  if (event !== 'request') return emit.apply(this, arguments)
  const health = req.url === '/healthz'
  const bad = health ? existsSync(${order('sick')}) || existsSync(${JSON.stringify(databaseDown(gracer))}) : existsSync(${order('broken')})
  if (!bad) return emit.apply(this, arguments)
  req.resume()
  res.writeHead(500, { 'content-length': 7, 'x-release': ${JSON.stringify(name)} })
  res.end('broken\\n')
  return true
}
setInterval(() => { if (existsSync(${order('exit')})) process.exit(7) }, 1)
await import(${app})
`)
}

/** Gives the order; the moment, by the clock of the load's ledger. */
export function orderTo(gracer: GracerProcess, name: string, order: Order): bigint {
  const at = nowNs()
  writeFileSync(orderFile(gracer, name, order), '')
  return at
}

export function takeBack(gracer: GracerProcess, name: string, order: Order): void {
  rmSync(orderFile(gracer, name, order))
}

/** While this file is there every release is sick. */
export function databaseDown(gracer: GracerProcess): string {
  return join(gracer.folder, 'orders', 'database-down')
}

function orderFile(gracer: GracerProcess, name: string, order: Order): string {
  return join(gracer.folder, 'orders', `${name}.${order}`)
}
