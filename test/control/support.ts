import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach } from 'vitest'
import type { ControlEvent, ControlHandlers } from '../../agent/control/handlers.ts'
import { startControlServer } from '../../agent/control/server.ts'
import type { ControlServer } from '../../agent/control/server.ts'
import { releaseTraffic, serviceTraffic } from '../../agent/service/traffic.ts'
import type { Explanation, Outcome, Progress, Receipt, Status } from '../../agent/control/shapes.ts'

export const receipt: Receipt = {
  schema: 1, service: 'default', release: 'v2', name: 'blue', previous: 'v1', outcome: 'confirmed', reason: null, startedAt: '2026-11-20T10:00:00.000Z',
  phasesMs: { takeIn: 1, boot: 310, health: 520, flip: 3, drain: 100, bake: 20_000, stop: 40 },
  inFlightAtFlip: 12, longestParkMs: 4, drained: 12, cut: 0, retried: 1, streamsEnded: 2, upgradedEnded: 1, lost: 0, violations: 0, survivors: [],
}

export const status: Status = {
  schema: 1, version: '0.1.0', listen: ['127.0.0.1:8080'], proxy: { pid: 1, version: '0.1.0', workers: [2] }, agent: { pid: 3 }, violations: 0, lost: 0, refused: {},
  services: [
    {
      name: 'default', live: 'blue', confirmed: true, canary: null, waiting: null, traffic: serviceTraffic(undefined),
      releases: [{ id: 'v2', name: 'blue', state: 'live', pid: 9, port: 40001, inFlight: 3, upgraded: 1, requests: 812, errors: 0, traffic: releaseTraffic(undefined), since: '2026-11-20T10:00:00.000Z', verified: true, note: null }],
    },
  ],
}

export const explanation: Explanation = {
  schema: 1, service: 'default', release: 'v3', name: null, why: 'named', state: 'failed', live: 'blue',
  story: [{ at: '2026-11-20T10:00:00.000Z', what: 'taken in' }, { at: '2026-11-20T10:00:01.000Z', what: 'failed its health check' }],
  failure: null, receipt: null, next: 'gracer swap v3 tries it again',
}

export function progress(phase: Progress['phase'], more: Partial<Progress> = {}): Progress {
  return { schema: 1, kind: 'phase', service: 'default', release: 'v2', name: 'blue', phase, elapsedMs: 10, detail: null, draining: null, ...more }
}

export function outcome(more: Partial<Outcome> = {}): Outcome {
  return { schema: 1, kind: 'outcome', service: 'default', release: 'v2', name: 'blue', outcome: 'confirmed', exitCode: 0, live: 'blue', message: 'v2 is confirmed', hint: null, failure: null, receipt: null, ...more }
}

/** Handlers that answer with the samples above; a test gives those it cares about. */
export function handlers(own: Partial<ControlHandlers> = {}): ControlHandlers {
  const done = (listener: (event: ControlEvent) => void): void => listener(outcome({ receipt }))
  return {
    status: () => status,
    metrics: () => Promise.resolve('# none\n'),
    history: (_service, n) => Array.from({ length: Math.min(n, 3) }, () => receipt),
    explain: () => explanation,
    logs: () => ({ release: 'v2', file: '/nowhere' }),
    events: () => () => {},
    swap: (_service, _request, listener) => done(listener),
    rollback: (_service, _release, listener) => done(listener),
    restart: (_service, listener) => done(listener),
    pause: (service) => Promise.resolve({ schema: 1, service, pausedUntil: '2026-11-20T10:00:00.000Z', pausedUntilBefore: null }),
    resume: (service) => Promise.resolve({ schema: 1, service, pausedUntil: null, pausedUntilBefore: null }),
    undo: () => outcome({ outcome: 'aborted', exitCode: 130 }),
    canary: (service) => ({ schema: 1, service, live: 'blue', message: null, canary: null }),
    orderCanary: (service) => ({ schema: 1, service, live: 'blue', message: 'as ordered', canary: null }),
    canaryToken: (service, wish) => ({ schema: 1, service, wish, until: '2026-11-20T10:00:00.000Z', header: 'gracer-release: x', cookie: 'gracer-release=x' }),
    down: () => {},
    reload: () => Promise.resolve({ added: [], removed: [], changed: [], now: [], nextStart: [] }),
    upgrade: () => ({ state: 'none' }),
    upgradeReport: () => ({ state: 'none' }),
    ...own,
  }
}

export interface Logged {
  readonly level: 'warn' | 'error'
  readonly fields: Record<string, unknown>
}

export interface Running {
  readonly folder: string
  readonly socketPath: string
  readonly server: ControlServer
  readonly logged: readonly Logged[]
}

const cleanups: (() => Promise<void> | void)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

export function afterTest(cleanup: () => Promise<void> | void): void {
  cleanups.push(cleanup)
}

export function scratch(): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'gracer-test-')))
  afterTest(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A control server on a socket of its own, closed after the test. */
export async function serve(own: Partial<ControlHandlers> = {}, options: { readonly socketPath?: string; readonly receiveMs?: number } = {}): Promise<Running> {
  const folder = scratch()
  const socketPath = options.socketPath ?? join(folder, 'control.sock')
  const logged: Logged[] = []
  const log = { warn: (fields: Record<string, unknown>) => void logged.push({ level: 'warn', fields }), error: (fields: Record<string, unknown>) => void logged.push({ level: 'error', fields }) }
  const server = await startControlServer({ socketPath, handlers: handlers(own), log, ...(options.receiveMs === undefined ? {} : { receiveMs: options.receiveMs }) })
  afterTest(() => server.close())
  return { folder, socketPath, server, logged }
}

/** A bare connection to a socket, destroyed after the test. */
export function dial(path: string): Socket {
  const socket = connect(path)
  socket.on('error', () => {})
  afterTest(() => void socket.destroy())
  return socket
}

/** Sends bytes and collects everything until the other side closes. */
export async function rawExchange(path: string, bytes: string): Promise<string> {
  const socket = dial(path)
  let text = ''
  socket.setEncoding('latin1')
  socket.on('data', (chunk: string) => {
    text += chunk
  })
  socket.write(bytes, 'latin1')
  await new Promise((resolve) => socket.once('close', resolve))
  return text
}

/** Waits for a condition, with a deadline. */
export async function until(condition: () => boolean | Promise<boolean>, what: string, deadlineMs = 10_000): Promise<void> {
  const deadline = performance.now() + deadlineMs
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`waited ${deadlineMs} ms in vain for: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
