import { dirname, join, resolve } from 'node:path'
import type { AccessSettings, FrontLimits, FrontSettings } from '../../proxy/front-settings.ts'
import type { StateFolder } from '../state-folder.ts'
import { accessDefaults } from './front-schema.ts'
import type { TopValues } from './schema.ts'
import { formatSize, parseSize } from './sizes.ts'
import type { FrontConfig } from './types.ts'
import { formatDuration } from './units.ts'

/** The part of the config that the workers are told at their start, and by a reload. */
export function completeFront(top: TopValues, base: string): FrontConfig {
  const access = top.log.access === true ? accessDefaults : top.log.access
  return {
    trustProxy: top.trustProxy,
    limits: limitsOf(top.limits),
    access: access === false ? null : { file: access.file === null ? null : resolve(base, access.file), sample: access.sample, query: access.query, maxBytes: access.size, keep: access.keep },
  }
}

function limitsOf({ idle, head, bodyStall, bodyRate, bodySize, readStall, firstByte, connections }: TopValues['limits']): FrontLimits {
  return { idleMs: idle, headMs: head, bodyStallMs: bodyStall, bodyRate, bodyBytes: bodySize, readStallMs: readStall, firstByteMs: firstByte, connections }
}

/** What the workers are told. */
export function frontSettings(front: FrontConfig, state: StateFolder): FrontSettings {
  return { ...front, access: accessSettings(front, state) }
}

/** With the file that the state folder gives where the config names none. */
export function accessSettings(front: FrontConfig, state: StateFolder): AccessSettings | null {
  const access = front.access ?? null
  return access === null ? null : { ...access, file: access.file ?? join(dirname(state.logFile), 'access.log') }
}

/** As it would stand in gracer.json, by dotted keys. */
export function describeFront(front: FrontConfig): [key: string, value: unknown][] {
  const { access, limits } = front
  const time = (ms: number | null): string | null => (ms === null ? null : formatDuration(ms))
  const size = (bytes: number | null): string | null => (bytes === null ? null : sizeText(bytes))
  return [
    ['trustProxy', front.trustProxy],
    ['limits.idle', time(limits.idleMs)],
    ['limits.head', time(limits.headMs)],
    ['limits.bodyStall', time(limits.bodyStallMs)],
    ['limits.bodyRate', size(limits.bodyRate)],
    ['limits.bodySize', size(limits.bodyBytes)],
    ['limits.readStall', time(limits.readStallMs)],
    ['limits.firstByte', time(limits.firstByteMs)],
    ['limits.connections', limits.connections],
    ...(access === null
      ? ([['log.access', false]] as [string, unknown][])
      : ([
          ['log.access.sample', access.sample], ['log.access.query', access.query], ['log.access.file', access.file],
          ['log.access.size', formatSize(access.maxBytes).replace(' ', '')], ['log.access.keep', access.keep],
        ] as [string, unknown][])),
  ]
}

/** Exact, as it may stand in gracer.json. */
function sizeText(bytes: number): string {
  const text = formatSize(bytes).replace(' ', '')
  return parseSize(text) === bytes ? text : `${bytes}B`
}
