import { leftBehind } from '../../proxy/master/left-behind.ts'
import { controlClient } from '../control/client.ts'
import type { ControlClient } from '../control/client.ts'
import { findStateFolder, locateState } from '../state-folder.ts'
import type { StateFolder } from '../state-folder.ts'
import { palette } from './color.ts'
import { widthOf } from './output.ts'
import type { Palette } from './color.ts'
import type { CommonOptions } from './options.ts'

/** What a command that speaks to the agent needs. */
export interface Context {
  readonly options: CommonOptions
  readonly state: StateFolder
  readonly client: ControlClient
  readonly service: string
  readonly out: Palette
  readonly err: Palette
  /** Columns of stdout; Infinity where it is no terminal. */
  width(): number
}

export function contextOf(options: CommonOptions): Context {
  const located = locateState({ state: options.state, config: options.config, cwd: process.cwd(), env: process.env }, 'find')
  const state = findStateFolder(located.path)
  return {
    options,
    state,
    client: controlClient(state.controlSocket, () => whyAway(state)),
    service: options.service ?? 'default',
    out: palette(options.color, process.stdout),
    err: palette(options.color, process.stderr),
    width: () => widthOf(process.stdout),
  }
}

/** A master that was killed leaves its workers and backends serving, with nobody to order anything from. */
function whyAway(state: StateFolder): string | null {
  const left = leftBehind(state.processes)
  if (left === null) return null
  const pids = [...left.workers, ...left.backends].map((one) => one.pid).join(', ')
  return `The gracer of pid ${left.masterPid} was killed; what it started still serves (pids ${pids}). "gracer up" takes over from it, "gracer down" ends it.`
}

/** The path of an order for one service. */
export function servicePath(service: string, order: string): string {
  return `/v1/services/${encodeURIComponent(service)}/${order}`
}

/** A path with those of the parameters that have a value. */
export function queryPath(path: string, parameters: Readonly<Record<string, string | undefined>>): string {
  const query = new URLSearchParams()
  for (const [key, value] of Object.entries(parameters)) if (value !== undefined) query.set(key, value)
  return query.size === 0 ? path : `${path}?${query.toString()}`
}
