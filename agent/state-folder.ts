import { createHash } from 'node:crypto'
import { existsSync, lstatSync, mkdirSync, readFileSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { GracerError } from '../inherit/gracer-error.ts'
import { configName, findConfig, foldersUpward } from './config/find-config.ts'

/** Where everything of one running gracer lies. All paths are absolute. */
export interface StateFolder {
  readonly path: string
  readonly lock: string
  readonly table: string
  readonly processes: string
  /** Inside the folder, or in the runtime folder where that path would be too long for the kernel. */
  readonly controlSocket: string
  /** What gracer itself logs. */
  readonly logFile: string
  /** Exists only once somebody has made it. */
  serviceFolder(service: string): string
  /** The output of one release's process; its folder exists. */
  releaseLog(service: string, release: string): string
}

export interface StateFolderQuery {
  /** --state. */
  readonly state?: string | undefined
  /** --config. */
  readonly config?: string | undefined
  readonly cwd: string
  /** For GRACER_STATE, XDG_RUNTIME_DIR. */
  readonly env: NodeJS.ProcessEnv
}

export type StateOrigin = 'flag' | 'environment' | 'config' | 'found' | 'working folder'

export interface StateLocation {
  readonly path: string
  readonly origin: StateOrigin
}

const folderName = '.gracer'

/**
 * Which folder holds the state, without touching it: --state, else GRACER_STATE, else .gracer/ beside the config,
 * else the nearest of gracer.json and .gracer/ from `cwd` upward, else .gracer/ in `cwd`.
 * For `up`, which makes the folder, a bare .gracer/ above `cwd` does not count: it belongs to something else.
 */
export function locateState(query: StateFolderQuery, purpose: 'make' | 'find'): StateLocation {
  if (query.state !== undefined) return { path: resolve(query.cwd, query.state), origin: 'flag' }
  const fromEnv = query.env['GRACER_STATE']
  if (fromEnv !== undefined && fromEnv !== '') return { path: resolve(query.cwd, fromEnv), origin: 'environment' }
  if (query.config !== undefined) return { path: join(dirname(resolve(query.cwd, query.config)), folderName), origin: 'config' }
  const here = resolve(query.cwd)
  for (const folder of foldersUpward(here)) {
    if (existsSync(join(folder, configName)) && findConfig(here) !== null) return { path: join(folder, folderName), origin: 'config' }
    if ((purpose === 'find' || folder === here) && isFolder(join(folder, folderName))) return { path: join(folder, folderName), origin: 'found' }
  }
  return { path: join(here, folderName), origin: 'working folder' }
}

/**
 * Makes the folder (0700) where it is missing and says where everything in it lies.
 * @throws GracerError 'state-folder' (exit 2) where it cannot be made, or where other users may write to it.
 */
export function openStateFolder(path: string, env: NodeJS.ProcessEnv = process.env): StateFolder {
  for (const folder of [path, join(path, 'log'), join(path, 'services')]) makePrivate(folder)
  const inside = join(path, 'control.sock')
  const pointer = join(path, 'control.path')
  if (fitsSocket(inside)) {
    rmSync(pointer, { force: true })
    return layout(path, inside)
  }
  const moved = join(runtimeFolder(env), `${createHash('sha256').update(realpathSync(path)).digest('hex').slice(0, 20)}.sock`)
  if (!fitsSocket(moved)) {
    throw new GracerError(`no folder has a path short enough for the control socket: ${moved}`, { code: 'state-folder', exitCode: 2, hint: 'Set XDG_RUNTIME_DIR to a folder with a short path, or use --state.' })
  }
  writeFileSync(`${pointer}.tmp`, `${moved}\n`, { mode: 0o600 })
  renameSync(`${pointer}.tmp`, pointer)
  return layout(path, moved)
}

/** The same paths for one who only looks: makes nothing, and does not mind that the folder is missing. */
export function findStateFolder(path: string): StateFolder {
  const pointer = join(path, 'control.path')
  let socket = join(path, 'control.sock')
  try {
    socket = readFileSync(pointer, 'utf8').trim()
  } catch {
    // No pointer: the socket lies inside.
  }
  return layout(path, socket)
}

function layout(path: string, controlSocket: string): StateFolder {
  return Object.freeze({
    path,
    lock: join(path, 'lock'),
    table: join(path, 'table.json'),
    processes: join(path, 'processes.json'),
    controlSocket,
    logFile: join(path, 'log', 'gracer.log'),
    serviceFolder: (service: string) => join(path, 'services', plainName(service)),
    releaseLog: (service: string, release: string) => join(path, 'log', `${plainName(service)}.${plainName(release)}.log`),
  })
}

/** Names come over the control socket as well: none may lead out of the folder. */
function plainName(name: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name)) return name
  throw new GracerError(`${JSON.stringify(name)} is no name: expected letters, digits, ".", "_" and "-", at most 64`, { code: 'bad-name', exitCode: 2 })
}

/**
 * unix(7): sun_path holds 108 bytes with the final NUL, 104 on macOS; the kernel, or libuv, cuts a longer one off in
 * silence, and the socket listens at a path nobody knows.
 */
export function fitsSocket(path: string): boolean {
  return Buffer.byteLength(path) <= (process.platform === 'darwin' ? 103 : 107)
}

function runtimeFolder(env: NodeJS.ProcessEnv): string {
  const given = env['XDG_RUNTIME_DIR']
  const folder = given !== undefined && given.startsWith('/') && isFolder(given) ? join(given, 'gracer') : join(tmpdir(), `gracer-${userInfo().uid}`)
  makePrivate(folder)
  return folder
}

/** A folder of our own: made 0700, and refused where another user owns it or may write to it (a trap laid in /tmp). */
function makePrivate(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
  } catch (cause) {
    throw new GracerError(`${folder} cannot be made (${(cause as NodeJS.ErrnoException).code ?? 'unknown error'})`, { code: 'state-folder', exitCode: 2, cause, hint: 'Name a folder that can be written: --state DIR or GRACER_STATE.' })
  }
  const stat = lstatSync(folder).isSymbolicLink() ? statSync(folder) : lstatSync(folder)
  const foreign = process.getuid !== undefined && stat.uid !== process.getuid()
  if (foreign || (stat.mode & 0o022) !== 0) {
    const why = foreign ? `belongs to another user (uid ${stat.uid})` : 'can be written by other users'
    throw new GracerError(`${folder} ${why}`, { code: 'state-folder', exitCode: 2, hint: foreign ? 'Name a folder of your own: --state DIR or GRACER_STATE.' : `chmod go-w ${folder}` })
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
}
