import net from 'node:net'
import { once } from 'node:events'

import { startLoad, type Load } from '../../load/load.ts'
import { until } from '../../support/deadline.ts'
import { Standalone, type StandaloneOptions } from '../../support/standalone.ts'
import { onCleanUp } from '../support.ts'

/** Ended after the test. */
export async function start(options: StandaloneOptions = {}): Promise<Standalone> {
  const program = await Standalone.start(options)
  onCleanUp(() => program.end())
  return program
}

/** A small strict load, running; stopped after the test. */
export async function load(program: Standalone): Promise<Load> {
  const running = startLoad({ host: '127.0.0.1', port: program.port, connections: 24, rate: 150, kinds: ['keep-alive', 'fresh', 'post', 'upload', 'slow', 'pipeline'] })
  onCleanUp(() => running.stop())
  await until('the load to run', () => running.counts().ok > 50)
  return running
}

export async function upgraded(program: Standalone): Promise<number> {
  const done = await program.upgrade()
  if (!done.ok) throw new Error(`${done.code}: ${done.reason}\n${program.log()}`)
  return done.pid
}

/** Until one generation is left. */
export async function settled(program: Standalone, processes = 1): Promise<void> {
  await until('the old generation to be gone', async () => program.pids().length === processes && (await program.describe()).leaving === null, 40_000)
}

export interface Client {
  readonly socket: net.Socket
  received(): string
  sees(text: string): Promise<void>
  readonly closed: Promise<unknown>
}

export async function connect(where: net.NetConnectOpts): Promise<Client> {
  const socket = net.connect(where)
  let text = ''
  socket.on('error', () => {})
  socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')))
  const closed = once(socket, 'close')
  await once(socket, 'connect')
  onCleanUp(() => socket.destroy())
  return { socket, closed, received: () => text, sees: async (wanted) => void (await until(`"${wanted}" in "${text}"`, () => text.includes(wanted))) }
}
