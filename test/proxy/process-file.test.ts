import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { entryOf, readProcessFile, writeProcessFile, type ProcessFile } from '../../proxy/master/process-file.ts'
import { strayProcesses } from '../../proxy/master/process-group.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gracer-processes-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const self = entryOf(process.pid)

it('is read back as written: backends of two services with one number stay two', () => {
  const file = join(folder, 'processes.json')
  const content: ProcessFile = {
    schema: 1, master: self, agent: null, workers: [],
    backends: [{ ...self, service: 'shop', release: 'shop/v1', port: 1 }, { ...self, service: 'blog', release: 'blog/v1', port: 2 }],
  }
  writeProcessFile(file, content)
  expect(readProcessFile(file)).toEqual(content)
})

it('of an earlier version names releases by their number alone', () => {
  const file = join(folder, 'processes.json')
  writeFileSync(file, JSON.stringify({ schema: 1, master: self, agent: null, workers: [], backends: [{ ...self, service: 'default', release: 'v3', port: 1 }] }))
  expect(readProcessFile(file)?.backends).toMatchObject([{ service: 'default', release: 'default/v3' }])
})

it.runIf(process.platform === 'linux')('a stray process is found by its service, its release and its port', async () => {
  const start = (env: Record<string, string>) => spawn(process.execPath, ['-e', 'console.log(1); setInterval(() => {}, 1e6)'], { env: { PATH: process.env['PATH'] ?? '', ...env }, stdio: ['ignore', 'pipe', 'inherit'] })
  const children = [
    start({ GRACER_SERVICE: 'shop', GRACER_RELEASE: 'v1', PORT: '61' }),
    start({ GRACER_SERVICE: 'blog', GRACER_RELEASE: 'v1', PORT: '61' }),
    start({ GRACER_RELEASE: 'v1', PORT: '61' }),
    start({ GRACER_SERVICE: 'shop', GRACER_RELEASE: 'v2', PORT: '61' }),
  ]
  try {
    // /proc/PID/environ is that of the program once it has begun.
    await Promise.all(children.map((child) => new Promise((resolve) => child.stdout.once('data', resolve))))
    const [shop, blog, old] = children.map((child) => child.pid)
    expect(strayProcesses('shop/v1', 61)).toEqual([shop, old])
    expect(strayProcesses('blog/v1', 61)).toEqual([blog, old])
    expect(strayProcesses('shop/v1', 62)).toEqual([])
  } finally {
    for (const child of children) child.kill('SIGKILL')
  }
})
