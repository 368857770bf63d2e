import { existsSync } from 'node:fs'
import { isAbsolute } from 'node:path'
import { GracerError } from '../../inherit/gracer-error.ts'
import { realBuild } from '../builds/real-build.ts'
import type { BuildCopy } from '../builds/copy.ts'
import { identityKey, type Drop } from '../drop.ts'
import { escapeName, nameAllowed, whyRefused } from '../drops/name.ts'
import type { DeployRequest, ReleaseRecord, ServiceState } from '../swap/state.ts'

/** What a command may name a build by. */
export interface KnownDrops {
  newest(): Drop | null
  find(name: string): Drop | null
  readonly folder: string | null
  /** One path that is replaced in place: what is there has no name. */
  readonly watched?: boolean
}

export interface Found {
  readonly source: string
  readonly name: string | null
  readonly dropKey: string | null
  /** gracer's copy of it, which is taken where it is still there. */
  readonly copy?: BuildCopy | null
  /** Worth saying: a name that looks like a number of gracer's, and which of the two was meant. */
  readonly remark: string | null
}

/**
 * Finds the build that a `gracer swap` names: an absolute path, a drop's name, or an earlier release's name or number;
 * without one, the newest drop, or the folder that `gracer up` was started in. A name wins over a number.
 * @throws GracerError 'no-such-release', 'source-missing', 'bad-name', 'nothing-to-deploy'; all exit 2.
 */
export function findTarget(target: string | null, state: ServiceState, drops: KnownDrops | null, workingFolder: string | null): Found {
  if (target === null) {
    const newest = drops?.newest() ?? null
    if (newest !== null) return { ...ofDrop(newest, null), ...(drops?.watched === true ? { name: null } : {}) }
    if (drops === null && workingFolder !== null) return { source: workingFolder, name: null, dropKey: null, remark: null }
    throw new GracerError(`there is nothing to deploy in ${drops?.folder ?? 'the releases folder'}`, { code: 'nothing-to-deploy', exitCode: 2, hint: 'Copy a build into it, or name one: gracer swap PATH.' })
  }
  if (isAbsolute(target)) {
    return { ...realBuild(target), dropKey: null, remark: null }
  }
  if (!nameAllowed(target)) throw new GracerError(`${escapeName(target)} cannot be a release: the name ${whyRefused(target)}`, { code: 'bad-name', exitCode: 2 })
  const drop = drops?.find(target) ?? null
  const numbered = state.releases.find((record) => record.id === target)
  if (drop !== null) return ofDrop(drop, numbered === undefined ? null : `${target} is both a name and a number; the drop of that name is taken`)
  const record = findRecord(state, target)
  if (record === null) throw new GracerError(`there is no release ${target}`, { code: 'no-such-release', exitCode: 2, hint: 'gracer status lists what there is; a path must be absolute or begin with ./' })
  // From its copy, where there is one: the archive may be gone, or be another by now.
  const copy = record.copy ?? null
  return { source: copy !== null && existsSync(copy.folder) ? record.source : realBuild(record.source).source, copy, name: record.name, dropKey: null, remark: null }
}

/** The newest release of that name, else the one of that number. */
export function findRecord(state: ServiceState, label: string): ReleaseRecord | null {
  return state.releases.findLast((record) => record.name === label) ?? state.releases.find((record) => record.id === label) ?? null
}

export function dropRequest(drop: Drop): DeployRequest {
  return { origin: 'drop', source: drop.path, name: drop.label, dropKey: identityKey(drop.identity), command: null, supersede: false, noticedAt: drop.noticedAt }
}

function ofDrop(drop: Drop, remark: string | null): Found {
  return { source: drop.path, name: drop.label, dropKey: identityKey(drop.identity), remark }
}
