import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { until } from '../support/deadline.ts'
import { firstRelease } from '../support/drop.ts'
import { GracerProcess } from '../support/gracer-process.ts'
import { makeRelease } from '../load/make-release.ts'

// builds/NAME hold the releases, `current` in the watched folder leads to one of them, `shared` outlives them.
let gracer: GracerProcess
beforeAll(async () => {
  gracer = await GracerProcess.startWith({ config: { bake: '100ms' } }, async (one) => {
    await mkdir(join(one.folder, 'builds'))
    await mkdir(join(one.folder, 'shared', 'uploads'), { recursive: true })
    await firstRelease(one, 'r0')
    await makeRelease(join(one.folder, 'builds'), 'b1')
    await symlink('../builds/b1', join(one.releases, 'current'))
  })
})
afterAll(async () => {
  await gracer.end()
})

it('moving the symlink "current" is a drop, with links into the shared folder beside the releases', async () => {
  await gracer.live('b1')
  const { path } = await makeRelease(join(gracer.folder, 'builds'), 'b2')
  await symlink('../../shared/uploads', join(path, 'uploads'))
  await symlink('../builds/b2', join(gracer.releases, 'current.tmp'))
  await rename(join(gracer.releases, 'current.tmp'), join(gracer.releases, 'current'))
  await gracer.live('b2')
})

it('after a rollback "current" is ignored until it moves', async () => {
  const back = await gracer.cli('rollback')
  expect(back.code, back.stderr).toBe(0)
  await gracer.live('b1')
  // Reading the folder again must not bring it back: something else happens in it, and is seen.
  await writeFile(join(gracer.releases, 'notes.txt'), 'x')
  const status = await gracer.live('b1')
  expect(status.services[0]?.waiting).toBeNull()
  await rm(join(gracer.releases, 'current'))
  await symlink('../builds/b2', join(gracer.releases, 'current'))
  await gracer.live('b2')
})

it('a link that leads anywhere else is refused, and named', async () => {
  const { path } = await makeRelease(join(gracer.folder, 'builds'), 'b3')
  await symlink('/etc', join(path, 'secrets'))
  await symlink('../builds/b3', join(gracer.releases, 'current.tmp'))
  await rename(join(gracer.releases, 'current.tmp'), join(gracer.releases, 'current'))
  const explained = await until('the refusal', async () => {
    const { code, stdout } = await gracer.cli('explain', 'b3')
    return code === 0 && stdout.includes('failed') ? stdout : null
  })
  expect(explained).toContain('secrets')
  expect((await gracer.status()).services[0]?.live).toBe('b2')
}, 20_000)
