import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { readJson, replaceFile } from '../../proxy/atomic-file.ts'
import type { CanaryJournal } from '../canary/canary.ts'
import type { ShadowJournal } from '../canary/shadow-tally.ts'
import type { ArmsBefore } from './canary-arms.ts'

/** What of a canary's judge outlives its agent. Not synced: after the machine's own end no canary goes on. */
export interface KeptCanary {
  readonly schema: 1
  readonly release: string
  readonly salt: string
  /** A first reply slower than this is slow; null: latency is not judged, and why. */
  readonly slowMs: number | null
  readonly latencyNote: string | null
  readonly before?: ArmsBefore
  readonly journal: CanaryJournal
  readonly shadow?: { readonly untilMs: number | null; readonly tally: ShadowJournal } | null
}

export function keepCanary(file: string, kept: KeptCanary): void {
  replaceFile(file, JSON.stringify(kept), false)
}

/** What the last agent kept of this very canary; null: nothing, so it begins. */
export function keptCanary(file: string, release: string, salt: string): KeptCanary | null {
  const found = readJson(file) as Partial<KeptCanary> | null
  return found?.schema === 1 && found.release === release && found.salt === salt && found.journal?.schema === 1 ? (found as KeptCanary) : null
}

export function dropCanary(file: string): void {
  rmSync(file, { force: true })
}

/**
 * What a service signs its visitors' cookies and its testers' overrides with: 256 bits, made once, readable for nobody else.
 * Lost, every visitor is drawn anew. Throws what the file system throws.
 */
export function canarySecret(file: string): string {
  if (existsSync(file)) {
    const found = readFileSync(file, 'utf8').trim()
    if (/^[0-9a-f]{64}$/.test(found)) return found
  }
  const secret = randomBytes(32).toString('hex')
  writeFileSync(file, `${secret}\n`, { mode: 0o600 })
  return secret
}
