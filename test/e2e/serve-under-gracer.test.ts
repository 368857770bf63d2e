import { mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, expect, test } from 'vitest'
import { until } from '../support/deadline.ts'
import { GracerProcess, root } from '../support/gracer-process.ts'
import { startLoad } from '../load/load.ts'

let gracer: GracerProcess | null = null
afterEach(async () => {
  await gracer?.end()
  gracer = null
})

/** The program of the library as a release, with the options that it would have alone. */
async function release(folder: string, name: string): Promise<string> {
  const path = join(folder, `.${name}`)
  await mkdir(path, { recursive: true })
  await writeFile(join(path, 'release.txt'), name)
  await writeFile(join(path, 'serve.json'), JSON.stringify({ port: 3000, front: true, pidFile: 'pid' }))
  await writeFile(join(path, 'server.mjs'), `import ${JSON.stringify(pathToFileURL(join(root, 'test/apps/upgrade-app.mjs')).href)}\n`)
  await writeFile(join(folder, `${name}.ready`), '')
  await rename(path, join(folder, name))
  return join(folder, name)
}

test('a program of serve() is a backend of gracer as it stands: swapped under the strict load, nothing is lost', async () => {
  gracer = await GracerProcess.startWith({ config: { bake: '100ms', drain: { timeout: '10s', upgraded: '200ms', spread: '50ms' } } }, async (one) => void (await release(one.releases, 'r1')))
  const load = startLoad({ host: '127.0.0.1', port: gracer.port, connections: 40, rate: 200, durationMs: 60_000 })
  await until('the load to run', () => load.counts().ok > 200)
  for (const name of ['r2', 'r3']) {
    await release(gracer.releases, name)
    await gracer.live(name, true, 30_000)
  }
  const report = await load.stop()
  expect({ failed: report.failed, failures: report.failures }).toEqual({ failed: 0, failures: [] })
  expect(report.releasesSeen).toEqual(['r1', 'r2', 'r3'])
  expect(await gracer.status()).toMatchObject({ lost: 0, violations: 0 })
}, 60_000)
