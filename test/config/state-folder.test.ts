import { chmodSync, existsSync, lstatSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { findStateFolder, fitsSocket, locateState, openStateFolder } from '../../agent/state-folder.ts'
import { scratch, withConfig } from './support.ts'

function folder(...parts: string[]): string {
  const path = join(...parts)
  mkdirSync(path, { recursive: true })
  return path
}

it('takes --state before GRACER_STATE, and that before everything else', () => {
  const cwd = withConfig({})
  expect(locateState({ state: 'x', cwd, env: { GRACER_STATE: '/y' } }, 'find')).toEqual({ path: join(cwd, 'x'), origin: 'flag' })
  expect(locateState({ cwd, env: { GRACER_STATE: '/y' } }, 'make')).toEqual({ path: '/y', origin: 'environment' })
  expect(locateState({ cwd, env: { GRACER_STATE: '' } }, 'make')).toEqual({ path: join(cwd, '.gracer'), origin: 'config' })
})

it('lies beside the config, named or found from the working folder upward', () => {
  const top = withConfig({})
  const cwd = folder(top, 'a', 'b')
  for (const purpose of ['make', 'find'] as const) {
    expect(locateState({ cwd, env: {} }, purpose)).toEqual({ path: join(top, '.gracer'), origin: 'config' })
    expect(locateState({ cwd, config: '../conf/g.json', env: {} }, purpose)).toEqual({ path: join(top, 'a', 'conf', '.gracer'), origin: 'config' })
  }
})

it('finds a state folder without a config above, but does not make its own there', () => {
  const top = scratch()
  folder(top, '.gracer')
  const cwd = folder(top, 'a')
  expect(locateState({ cwd, env: {} }, 'find').path).toBe(join(top, '.gracer'))
  expect(locateState({ cwd, env: {} }, 'make')).toEqual({ path: join(cwd, '.gracer'), origin: 'working folder' })
  expect(locateState({ cwd: top, env: {} }, 'make')).toEqual({ path: join(top, '.gracer'), origin: 'found' })
})

it('is made for its owner alone, whatever the umask', () => {
  const before = process.umask(0)
  try {
    const state = openStateFolder(join(scratch(), 'deep', '.gracer'))
    for (const path of [state.path, join(state.path, 'log'), join(state.path, 'services')]) expect(statSync(path).mode & 0o777).toBe(0o700)
    expect(state).toMatchObject({ lock: join(state.path, 'lock'), table: join(state.path, 'table.json'), processes: join(state.path, 'processes.json'), controlSocket: join(state.path, 'control.sock'), logFile: join(state.path, 'log', 'gracer.log') })
    expect(state.releaseLog('default', 'v2')).toBe(join(state.path, 'log', 'default.v2.log'))
    expect(state.serviceFolder('default')).toBe(join(state.path, 'services', 'default'))
  } finally {
    process.umask(before)
  }
})

it('refuses a folder that others may write to', () => {
  const path = folder(scratch(), 'open')
  chmodSync(path, 0o777)
  expect(() => openStateFolder(path)).toThrowError(expect.objectContaining({ code: 'state-folder', exitCode: 2 }))
})

it('lets no name of a service or release lead out of the folder', () => {
  const state = openStateFolder(join(scratch(), 's'))
  for (const name of ['..', '../x', 'a/b', '', '.hidden', 'x\u0000', 'a'.repeat(65)]) {
    expect(() => state.serviceFolder(name)).toThrowError(expect.objectContaining({ code: 'bad-name' }))
    expect(() => state.releaseLog('default', name)).toThrowError(expect.objectContaining({ code: 'bad-name' }))
  }
})

it('moves a socket whose path is too long for the kernel to the runtime folder, where it is found again', () => {
  const long = join(scratch(), 'x'.repeat(60), 'y'.repeat(60))
  const runtime = scratch()
  const state = openStateFolder(long, { XDG_RUNTIME_DIR: runtime })
  expect(state.controlSocket.startsWith(join(runtime, 'gracer') + '/')).toBe(true)
  expect(fitsSocket(state.controlSocket)).toBe(true)
  expect(statSync(join(runtime, 'gracer')).mode & 0o777).toBe(0o700)
  expect(findStateFolder(long).controlSocket).toBe(state.controlSocket)
  expect(readFileSync(join(long, 'control.path'), 'utf8').trim()).toBe(state.controlSocket)
  expect(openStateFolder(join(scratch(), 'z'.repeat(120)), { XDG_RUNTIME_DIR: runtime }).controlSocket).not.toBe(state.controlSocket)
})

it('takes a folder of its own below the temporary one where there is no runtime folder', () => {
  const state = openStateFolder(join(scratch(), 'x'.repeat(120)), {})
  expect(state.controlSocket.startsWith(join(tmpdir(), `gracer-${userInfo().uid}`) + '/')).toBe(true)
  expect(lstatSync(join(tmpdir(), `gracer-${userInfo().uid}`)).mode & 0o777).toBe(0o700)
})

it('forgets where the socket was once its own path is short enough', () => {
  const path = folder(scratch(), 's')
  chmodSync(path, 0o700)
  writeFileSync(join(path, 'control.path'), '/elsewhere\n')
  expect(openStateFolder(path).controlSocket).toBe(join(path, 'control.sock'))
  expect(existsSync(join(path, 'control.path'))).toBe(false)
})

it('says where things would lie without making anything, for a command that only looks', () => {
  const path = join(scratch(), 'nothing')
  expect(findStateFolder(path).controlSocket).toBe(join(path, 'control.sock'))
  expect(existsSync(path)).toBe(false)
})
