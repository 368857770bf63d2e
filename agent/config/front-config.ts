import { dirname, join, resolve } from 'node:path'
import type { AccessSettings } from '../../proxy/front-settings.ts'
import type { StateFolder } from '../state-folder.ts'
import { accessDefaults } from './front-schema.ts'
import type { TopValues } from './schema.ts'
import { formatSize } from './sizes.ts'
import type { FrontConfig } from './types.ts'
import { formatDuration } from './units.ts'

/** The part of the config that the workers are told at their start. */
export function completeFront(top: TopValues, base: string): FrontConfig {
  const access = top.log.access === true ? accessDefaults : top.log.access
  return {
    trustProxy: top.trustProxy,
    idleMs: top.limits.idle,
    access: access === false ? null : { file: access.file === null ? null : resolve(base, access.file), sample: access.sample, query: access.query, maxBytes: access.size, keep: access.keep },
  }
}

/** With the file that the state folder gives where the config names none. */
export function accessSettings(front: FrontConfig, state: StateFolder): AccessSettings | null {
  const access = front.access ?? null
  return access === null ? null : { ...access, file: access.file ?? join(dirname(state.logFile), 'access.log') }
}

/** As it would stand in gracer.json, by dotted keys. */
export function describeFront(front: FrontConfig): [key: string, value: unknown][] {
  const { access } = front
  return [
    ['trustProxy', front.trustProxy],
    ['limits.idle', formatDuration(front.idleMs)],
    ...(access === null
      ? ([['log.access', false]] as [string, unknown][])
      : ([
          ['log.access.sample', access.sample], ['log.access.query', access.query], ['log.access.file', access.file],
          ['log.access.size', formatSize(access.maxBytes).replace(' ', '')], ['log.access.keep', access.keep],
        ] as [string, unknown][])),
  ]
}
