import { existsSync, type Stats } from 'node:fs'
import { lstat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { GracerError } from '../../inherit/gracer-error.ts'
import { realFolder } from '../boot/plan.ts'
import { formatSize } from '../config/sizes.ts'
import type { BuildsConfig, ServiceConfig } from '../config/types.ts'
import { checksumEnding } from '../drops/name.ts'
import { checksumMismatch, readChecksum } from './checksum.ts'
import type { BuildCopy } from './copy.ts'
import { asBuildError } from './disk-error.ts'
import type { BuildHouse } from './house.ts'
import { keepFile } from './keep-file.ts'
import { keepTree } from './keep-tree.ts'
import { kindOfFile, whyNoBuild } from './kind.ts'
import { hashFile, SourceFile } from './source-file.ts'
import { runFolder } from './top-folder.ts'
import { unpack } from './unpack.ts'
import { isStill } from './watched-tree.ts'

export interface TakeIn {
  readonly house: BuildHouse
  readonly release: string
  /** A real path. */
  readonly source: string
  /** The copy that was made of it before; null: none was. */
  readonly copy: BuildCopy | null
  /** What is watched: a folder is copied too, without these folders of ours. Absent: it runs where it lies. */
  readonly watched?: WatchedSource | undefined
  /** Of a file that was dropped: what it was when it was announced. It may have waited. */
  readonly dropped?: { readonly inode: number; readonly size: number; readonly mtimeMs: number } | null
  readonly config: { readonly builds: BuildsConfig; readonly command: ServiceConfig['command'] }
  readonly signal: AbortSignal
  /** How it goes on, for people. `repeated`: it says no more than the one before. */
  readonly tell: (what: string, repeated: boolean) => void
}

export interface WatchedSource {
  /** That of the path, which a command goes by wherever the path leads. */
  readonly name: string
  readonly without: readonly string[]
  /** What it has to be, where it was announced: it may have waited. `atMs`: wall clock; `back`: it ran once, from where it lay. */
  readonly announced: { readonly digest: string; readonly atMs: number; readonly back: boolean } | null
}

export interface TakenIn {
  /** Where it is run. */
  readonly folder: string
  /** What is run in it, where the build is a single file. */
  readonly file: string | null
  /** null: it is run where it lies. */
  readonly copy: BuildCopy | null
}

const tellEveryMs = 1_000

/**
 * Takes a build in: an archive or a single file is checked and becomes a private copy, which is what is run from then on.
 * A folder is run where it lies. A copy that was made before is
 * taken as it is. @throws GracerError, with nothing left behind; the signal's reason
 */
export async function takeInBuild(options: TakeIn): Promise<TakenIn> {
  const { copy, source } = options
  if (copy !== null && existsSync(copy.folder)) return { folder: copy.folder, file: copy.file, copy }
  const stats = await lstat(source).catch((error: NodeJS.ErrnoException) => noSource(options, error))
  if (!stats.isDirectory()) return takeFile(options, stats)
  if (copy !== null) throw copyGone(options)
  return options.watched === undefined ? takeFolder(options) : keepFolder(options, options.watched)
}

/** Of a watched folder: what is run must outlive what is put in its place. */
async function keepFolder(options: TakeIn, { without }: WatchedSource): Promise<TakenIn> {
  const { source, house, release, config, signal } = options
  if (options.watched?.announced?.back === true) await checkStill(options)
  try {
    return await house.build(release, async (into) => {
      const { files } = await keepTree({ source, into, without, limits: config.builds, signal })
      await checkStill(options)
      const root = house.rootOf(release)
      options.tell(`${basename(source)}: a private copy of ${files} files`, false)
      return { folder: root, file: null, copy: { root, folder: root, file: null, sha256: null } }
    })
  } catch (error) {
    signal.throwIfAborted()
    const { code, message } = error as NodeJS.ErrnoException
    // What changed meanwhile is whole later; anything else would be the same the next time.
    if (code === 'build-changed' || code === 'ENOENT') throw error
    options.tell(`there is no way back to this release once ${source} is replaced: no private copy can be made of it (${message}), so it runs where it lies`, false)
    return takeFolder(options)
  }
}

function takeFolder(options: TakeIn): TakenIn {
  const { source } = options
  if (existsSync(`${source}${checksumEnding}`)) options.tell(`${basename(source)}${checksumEnding} is not checked: a folder has no digest. Drop a .tgz to have it checked`, false)
  return { folder: realFolder(source), file: null, copy: null }
}

async function takeFile(options: TakeIn, stats: Stats): Promise<TakenIn> {
  const { source, config, house, release, signal } = options
  const name = basename(source)
  // What is watched is run by the command, whatever its name says (java -jar app.jar).
  const watched = options.watched !== undefined && config.command !== null
  const kept = watched ? (options.watched?.name ?? name) : name
  const kind = stats.isFile() ? kindOfFile(name, stats.mode) ?? (watched ? kindOfFile(kept, stats.mode) ?? 'file' : null) : null
  if (kind === null) {
    const { what, hint } = whyNoBuild(name)
    throw new GracerError(`${source} ${stats.isFile() ? what : 'is neither a file nor a folder'}`, { code: 'no-build', exitCode: 2, hint })
  }
  const expected = await expectedDigest(options)
  const progress = every((bytesRead) => options.tell(`reading ${name}: ${formatSize(bytesRead)} of ${formatSize(stats.size)}`, true))
  const file = await SourceFile.open(source)
  try {
    checkDropped(options, file.stats)
    return await house.build(release, async (into) => {
      const root = house.rootOf(release)
      if (kind === 'file') {
        const sha256 = await keepFile(file, { into, name: kept }, config.builds, signal, progress)
        const checked = await checkCopied(options, expected, sha256)
        return told(options, `a single file of ${formatSize(stats.size)}`, checked, { root, folder: root, file: kept, sha256 })
      }
      const { sha256, tops, entries } = await unpack(file, { into, name, limits: config.builds, signal, progress })
      const checked = await checkCopied(options, expected, sha256)
      const folder = runFolder(into, tops, config.command, existsSync)
      return told(options, `unpacked to ${entries} files and folders`, checked, { root, folder: join(root, folder.slice(into.length)), file: null, sha256 })
    })
  } catch (error) {
    signal.throwIfAborted()
    throw asBuildError(error, name, house.folder)
  } finally {
    await file.close()
  }
}

/**
 * What the file has to be: by NAME.sha256 beside it, by the copy that was made of it before. Where that is known the file
 * is read once just to compare, so that a wrong one is called wrong, and not whatever unpacking it stumbles over.
 */
async function expectedDigest(options: TakeIn): Promise<string | null> {
  const { source, copy, config, signal } = options
  const said = copy?.sha256 ?? await readChecksum(source, signal)
  if (said === null) {
    if (config.builds.sha256 === 'optional') return null
    throw new GracerError(`there is no ${basename(source)}${checksumEnding} beside ${source}, and the config requires one`, {
      code: 'checksum-missing', hint: `Write it with: sha256sum ${basename(source)} > ${basename(source)}${checksumEnding}; then: gracer swap ${source}`,
    })
  }
  checkDigest(options, said, await hashFile(source, signal))
  return said
}

/** What was copied against what it has to be; a checksum that came while it was being copied counts as well. */
async function checkCopied(options: TakeIn, expected: string | null, found: string): Promise<string | null> {
  const said = expected ?? await readChecksum(options.source, options.signal)
  checkDigest(options, said, found)
  await checkStill(options)
  return said
}

function checkDropped({ source, dropped }: TakeIn, { ino, size, mtimeMs }: Stats): void {
  if (!dropped || dropped.inode === ino && dropped.size === size && dropped.mtimeMs === mtimeMs) return
  throw changedMeanwhile(source)
}

function changedMeanwhile(source: string): GracerError {
  return new GracerError(`${source} was changed after it had come to rest, before it was copied`, { code: 'build-changed', hint: 'What lies there now is taken when it has come to rest in its turn.' })
}

/** What waited for another swap may have been replaced meanwhile, and be half written now. */
async function checkStill({ source, watched, release }: TakeIn): Promise<void> {
  const announced = watched?.announced ?? null
  if (watched === undefined || announced === null || await isStill(source, watched.without, announced.digest, announced.atMs)) return
  if (announced.back) throw new GracerError(`there is no way back to ${release}: no private copy of it could be made, and what lies at ${source} now is another build`, { code: 'no-way-back', hint: 'Put it there again to deploy it.' })
  throw changedMeanwhile(source)
}

function checkDigest(options: TakeIn, expected: string | null, found: string): void {
  if (expected === null || expected === found) return
  throw options.copy === null ? checksumMismatch(options.source, expected, found) : copyGone(options)
}

function told(options: TakeIn, how: string, checked: string | null, copy: BuildCopy): TakenIn {
  const by = checked === null ? '' : options.copy === null ? `, as ${basename(options.source)}${checksumEnding} says` : ', as before'
  options.tell(`${basename(options.source)}: ${how}; sha256 ${copy.sha256 ?? 'unknown'}${by}`, false)
  return { folder: copy.folder, file: copy.file, copy }
}

/** At most once a second. */
function every(tell: (value: number) => void): (value: number) => void {
  let nextMs = performance.now() + tellEveryMs
  return (value) => {
    if (performance.now() < nextMs) return
    nextMs = performance.now() + tellEveryMs
    tell(value)
  }
}

function noSource(options: TakeIn, error: NodeJS.ErrnoException): never {
  if (options.copy !== null) throw copyGone(options)
  if (error.code === 'ENOENT') throw new GracerError(`there is no build at ${options.source}`, { code: 'source-missing', exitCode: 2, cause: error, hint: 'Name a folder, an archive or a program that exists.' })
  throw new GracerError(`${options.source} cannot be read (${error.code ?? error.message})`, { code: 'source-missing', exitCode: 2, cause: error, hint: 'The user that runs gracer must be able to read it.' })
}

function copyGone({ copy, source }: TakeIn): GracerError {
  return new GracerError(`gracer's copy of ${basename(source)} is not there any more (${copy?.root ?? ''}), and what lies at ${source} now is another build`, {
    code: 'copy-gone', hint: 'Only the newest copies are kept ("keep"). To deploy what is there now, name it: gracer swap PATH.',
  })
}
