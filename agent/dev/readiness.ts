import { connect } from 'node:net'
import { checkHealth } from '../health/check.ts'
import { pause } from '../health/pause.ts'
import { portBelongsTo, portsOf, waitingConnections } from '../health/port-owner.ts'
import { whyUnhealthy } from '../health/why-unhealthy.ts'
import type { HealthConfig } from '../config/types.ts'
import { formatDuration } from '../config/units.ts'
import type { App } from './app.ts'

const retryMs = 5
/** An app that takes its socket by itself need not say so: from here on it is looked at. */
const lookAfterMs = 400
const lookMs = 25
/** Listening somewhere else for this long is no step on the way to listening here. */
const elsewhereMs = 2_000
const elsewhereLookMs = 400

export type Readiness =
  | { readonly kind: 'ready' }
  | { readonly kind: 'aborted' }
  | { readonly kind: 'failed'; readonly title: string; readonly hint: string }

/**
 * Waits until the app listens where it was told to; with a health path, until that answers well. Nothing is asked of an
 * app without one: the first request waits in the socket's queue, and an app that answers 500 shows its own error.
 * `ports`: those on which it may listen besides (its debugger's).
 */
export async function awaitReady(app: App, health: HealthConfig, ports: readonly number[], signal: AbortSignal): Promise<Readiness> {
  const over = new AbortController()
  const either = AbortSignal.any([signal, over.signal])
  const deadline = pause(health.deadlineMs, either).then((): Readiness => (either.aborted ? { kind: 'aborted' } : neverListened(app, health.deadlineMs)))
  try {
    const first = await Promise.race([listens(app, either), elsewhere(app, ports, either), deadline])
    if (signal.aborted) return { kind: 'aborted' }
    if (first.kind !== 'ready' || health.path === null) return first
    return await isHealthy(app, health, signal)
  } finally {
    over.abort()
  }
}

async function listens(app: App, signal: AbortSignal): Promise<Readiness> {
  if (app.socket === 'port') return await acceptsOnPort(app, signal)
  await Promise.race([app.ready, takesFromQueue(app, signal)])
  return { kind: 'ready' }
}

/** A connection says all where nobody but the app holds the port. */
async function acceptsOnPort(app: App, signal: AbortSignal): Promise<Readiness> {
  while (!signal.aborted) {
    if (await connects(app.port)) {
      if (portBelongsTo(app.port, app.pid) !== 'not-ours') return { kind: 'ready' }
      return { kind: 'failed', title: `Port ${app.port}, given to the app in PORT, was taken by another program.`, hint: 'Press r, or save again: the next boot gets another port.' }
    }
    await pause(retryMs, signal)
  }
  return { kind: 'aborted' }
}

/** The kernel connects for an inherited socket at once; taking the connection out of the queue is the app's doing. */
async function takesFromQueue(app: App, signal: AbortSignal): Promise<void> {
  await pause(lookAfterMs, signal)
  if (signal.aborted || waitingConnections(app.port) === null) return await never(signal)
  const socket = connect({ host: '127.0.0.1', port: app.port })
  socket.on('error', () => {})
  await new Promise((resolve) => socket.once('connect', resolve).once('close', resolve))
  try {
    while (!signal.aborted && !app.over) {
      if (!socket.destroyed && waitingConnections(app.port) === 0) return
      await pause(lookMs, signal)
    }
  } finally {
    socket.destroy()
  }
  return await never(signal)
}

function never(signal: AbortSignal): Promise<void> {
  return signal.aborted ? Promise.resolve() : new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}

async function elsewhere(app: App, ports: readonly number[], signal: AbortSignal): Promise<Readiness> {
  let since: number | null = null
  while (!signal.aborted) {
    await pause(elsewhereLookMs, signal)
    if (signal.aborted) break
    const other = portsOf(app.pid).filter((port) => port !== app.port && !ports.includes(port))
    if (other.length === 0) since = null
    else since ??= performance.now()
    if (since === null || performance.now() - since < elsewhereMs) continue
    return {
      kind: 'failed',
      title: `The app listens on port ${other.join(', ')} and not on the one that gracer gave it in PORT (${app.port}).`,
      hint: 'Let it listen on process.env.PORT. (A plain `node FILE` command needs no change: gracer turns its first listen by itself.)',
    }
  }
  return { kind: 'aborted' }
}

async function isHealthy(app: App, health: HealthConfig, signal: AbortSignal): Promise<Readiness> {
  const result = await checkHealth({ port: app.port, health: { ...health, successes: 1 }, signal, ready: app.ready, attempt: () => {} })
  if (result.healthy) return { kind: 'ready' }
  if (result.aborted) return { kind: 'aborted' }
  return { kind: 'failed', title: `The app is ${result.failure.message}.`, hint: 'health.path in gracer.json must be answered well; without that key nothing is asked of the app in dev.' }
}

function neverListened(app: App, deadlineMs: number): Readiness {
  const why = whyUnhealthy({ pid: app.pid, port: app.port, socket: app.socket }, { lastStatus: null, lastLocation: null })
  return {
    kind: 'failed',
    title: `The app has not begun to listen within ${formatDuration(deadlineMs)}${why}.`,
    hint: 'Look for what it waits for: a database, a lock, an await before listen(). A boot that takes longer needs a longer health.deadline in gracer.json.',
  }
}

function connects(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port })
    const tell = (is: boolean): void => {
      socket.destroy()
      resolve(is)
    }
    socket.once('connect', () => tell(true))
    socket.on('error', () => tell(false))
  })
}
