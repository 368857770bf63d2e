import type { AccessSettings, FrontSettings } from '../../proxy/front-settings.ts'
import type { Match } from '../../proxy/match.ts'
import type { BakeRule } from '../canary/bake-rule.ts'
import type { CanaryConfig } from './canary.ts'

/**
 * The effective config: checked once at the edge, then frozen, with units in the names.
 * What the file may contain is in schema.ts; this is what the rest of gracer sees.
 */
export interface Config {
  /** Where it was read from; null when there is no file. */
  readonly file: string | null
  /** Relative paths of the config are relative to this folder: the file's, or the working folder. */
  readonly base: string
  readonly listen: { readonly host: string; readonly port: number }
  readonly workers: number
  readonly front: FrontConfig
  readonly log: { readonly level: 'debug' | 'info' | 'warn' | 'error' }
  /** null: the figures are on the control socket only. */
  readonly metrics: { readonly host: string; readonly port: number } | null
  /** flat: one service, `default`, whose keys stand at the top. */
  readonly form: 'flat' | 'services'
  readonly services: readonly ServiceConfig[]
}

/** What the workers are told; the access log's file may be left to the state folder. */
export interface FrontConfig extends Omit<FrontSettings, 'access'> {
  readonly access: AccessConfig | null
}

export interface AccessConfig extends Omit<AccessSettings, 'file'> {
  /** Absolute; null: access.log in the state folder. */
  readonly file: string | null
}

export interface ServiceConfig {
  readonly name: string
  readonly match: Match
  /** Folder that is watched for drops (absolute); null: none. */
  readonly releases: string | null
  /** File or folder that is replaced in place (absolute); null or absent: none. */
  readonly watch?: string | null
  /** null: inferred from what lies in the release's folder. */
  readonly command: readonly string[] | null
  readonly socket: 'auto' | 'inherit' | 'port'
  readonly env: ReadonlyMap<string, string>
  /** Absolute; null: none. */
  readonly envFile: string | null
  /** How many releases' folders are kept beside the live one; older drops that gracer took in are removed. */
  readonly keep: number
  readonly settleMs: number
  /** Absent: as if it were all defaults. */
  readonly builds?: BuildsConfig
  readonly health: HealthConfig
  readonly drain: DrainConfig
  readonly bakeMs: number
  /** Absent: as it is by default. */
  readonly bakeRule?: BakeRule
  /** Whether the release before is asked for a hashed asset that the live one does not have. Absent: it is not. */
  readonly previousAssets?: boolean
  readonly onCrashLoop: 'hold' | 'rollback'
  /** Absent: as if it were all defaults. */
  readonly canary?: CanaryConfig
  /** false: the old release ends before the new one boots. */
  readonly overlap: boolean
  readonly hooks: HooksConfig
  /** More ports of the backend, by the variable that tells it the number. */
  readonly ports: ReadonlyMap<string, 'auto' | number>
  readonly hold: { readonly timeoutMs: number; readonly max: number; readonly pace: number }
}

export type { CanaryConfig } from './canary.ts'

/** Commands, each an array of words. */
export interface HooksConfig {
  readonly prepare: readonly (readonly string[])[]
  readonly release: readonly (readonly string[])[]
  readonly confirmed: readonly (readonly string[])[]
  readonly timeoutMs: number
}

export interface BuildsConfig {
  /** Bytes that one build may hold, unpacked; archives and single files alike. */
  readonly maxBytes: number
  /** Files, folders and links in one build. */
  readonly maxEntries: number
  /** Whether an archive or file without NAME.sha256 beside it is taken. */
  readonly sha256: 'optional' | 'required'
}

export interface HealthConfig {
  /** null: below 500 on '/', 3xx earns a warning. */
  readonly path: string | null
  readonly host: string
  readonly headers: ReadonlyMap<string, string>
  /** Ranges of accepted status codes, both ends included. */
  readonly expect: readonly { readonly from: number; readonly to: number }[]
  readonly intervalMs: number
  readonly timeoutMs: number
  readonly successes: number
  readonly deadlineMs: number
}

export interface DrainConfig {
  readonly timeoutMs: number
  readonly streamsMs: number
  readonly upgradedMs: number
  readonly spreadMs: number
  readonly stopMs: number
}
