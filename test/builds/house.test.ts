import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { BuildHouse } from '../../agent/builds/house.ts'
import { runFolder } from '../../agent/builds/top-folder.ts'
import { scratch } from './support.ts'

it('a copy is there whole or not at all', async () => {
  const house = new BuildHouse(join(scratch(), 'builds'))
  await house.build('v1', (into) => {
    writeFileSync(join(into, 'a'), '')
    // Not yet under its name.
    expect(readdirSync(house.folder)).not.toContain('v1')
    return Promise.resolve()
  })
  expect(readdirSync(house.rootOf('v1'))).toEqual(['a'])
  await expect(house.build('v2', (into) => {
    writeFileSync(join(into, 'half'), '')
    return Promise.reject(new Error('refused'))
  })).rejects.toThrow('refused')
  expect(readdirSync(house.folder)).toEqual(['v1'])
})

it('what a dead agent left half made, or made and never wrote down, is gone with the next', async () => {
  const house = new BuildHouse(join(scratch(), 'builds'))
  mkdirSync(join(house.folder, '.v1-4711-1', 'deep'), { recursive: true })
  mkdirSync(house.rootOf('v2'))
  writeFileSync(join(house.rootOf('v2'), 'old'), '')
  house.sweep()
  expect(readdirSync(house.folder)).toEqual(['v2'])
  await house.build('v2', (into) => Promise.resolve(writeFileSync(join(into, 'new'), '')))
  expect(readdirSync(house.rootOf('v2'))).toEqual(['new'])
})

it('only what is named is kept, and what is being made', async () => {
  const house = new BuildHouse(join(scratch(), 'builds'))
  for (const release of ['v1', 'v2', 'v3']) await house.build(release, () => Promise.resolve())
  await house.build('v4', async () => {
    expect((await house.keepOnly(new Set([house.rootOf('v2')]))).sort()).toEqual(['v1', 'v3'])
  })
  expect(readdirSync(house.folder).sort()).toEqual(['v2', 'v4'])
})

const top = (name: string, isFolder = true): { name: string; isFolder: boolean } => ({ name, isFolder })

it.each([
  ['npm pack', [top('package')], null, [], '/r/package'],
  ['name-1.2', [top('app-1.2')], ['node', 'server.mjs'], [], '/r/app-1.2'],
  ['two at the top', [top('lib'), top('bin')], null, [], '/r'],
  ['a file at the top', [top('server.mjs', false)], null, [], '/r'],
  ['a folder beside what macOS adds', [top('app'), top('._app', false), top('.DS_Store', false)], null, [], '/r/app'],
  ['a folder that the command names', [top('dist')], ['node', './dist/server.mjs'], ['/r/dist/server.mjs'], '/r'],
  ['a folder that the command names and holds', [top('dist')], ['node', 'dist/server.mjs'], ['/r/dist/server.mjs', '/r/dist/dist/server.mjs'], '/r/dist'],
  ['a folder of which the command names something that is not there', [top('dist')], ['node', 'dist/server.mjs'], [], '/r/dist'],
] as const)('an archive is run where one expects it: %s', (_title, tops, command, there: readonly string[], folder) => {
  expect(runFolder('/r', tops, command, (path) => there.includes(path))).toBe(folder)
})
