import { execFileSync, spawn } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freePort } from '../../inherit/ephemeral-socket.ts'
import { until } from '../support/deadline.ts'
import { root } from '../support/gracer-process.ts'

const app = `import express from 'express'
const app = express()
app.get('/', (request, response) => response.send('hello from my own app'))
app.listen(3000)
`

/** Somebody's own app, with the packed gracer installed beside express, as a user does it. */
describe('the package', () => {
  let folder: string
  let files: string[]

  beforeAll(() => {
    folder = realpathSync(mkdtempSync(join(tmpdir(), 'gracer-user-')))
    // As it is published: from a copy, because packing builds anew, and others use this checkout's dist/ meanwhile.
    const copy = join(folder, 'checkout')
    for (const name of ['inherit', 'proxy', 'agent', 'test', 'deploy', 'docs', 'scripts', 'package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json', 'README.md', 'ARCHITECTURE.md', 'CHANGELOG.md', 'LICENSE', '.npmrc']) {
      // With their times: by these it is seen that nothing is to be installed anew, which would go through the link.
      cpSync(join(root, name), join(copy, name), { recursive: true, preserveTimestamps: true })
    }
    symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))
    const packed = JSON.parse(npm(copy, 'pack', '--json', '--pack-destination', folder)) as { filename: string; files: { path: string }[] }[]
    files = packed[0]?.files.map((file) => file.path) ?? []
    const home = join(folder, 'app')
    cpSync(join(root, 'LICENSE'), join(home, 'LICENSE'))
    writeFileSync(join(home, 'package.json'), JSON.stringify({ name: 'my-app', version: '1.0.0', type: 'module' }))
    writeFileSync(join(home, 'server.js'), app)
    npm(home, 'install', '--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts', join(folder, packed[0]?.filename ?? ''), 'express@5')
  }, 180_000)

  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  it('holds what is needed and nothing else: no test, no source, no map', () => {
    expect(files).toEqual(expect.arrayContaining(['dist/agent/cli/main.js', 'dist/inherit/index.js', 'dist/inherit/index.d.ts', 'docs/gracer.schema.json', 'deploy/systemd/gracer.service', 'README.md', 'LICENSE', 'package.json']))
    expect(files.filter((file) => /^dist\/test\/|\.map$|\.tsbuildinfo$|^(inherit|proxy|agent|test)\//.test(file))).toEqual([])
  })

  it('has types that a program of somebody else compiles against', () => {
    const home = join(folder, 'app')
    writeFileSync(join(home, 'use.ts'), "import { serve, softDrain, type DrainReport } from 'gracer'\nexport const use = async (): Promise<DrainReport> => (await serve((_request, response) => { response.end() }, { port: 0 })).close()\nvoid softDrain\n")
    symlinkSync(join(root, 'node_modules', '@types'), join(home, 'node_modules', '@types'))
    execFileSync(process.execPath, [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '--noEmit', '--strict', '--skipLibCheck', 'false', '--module', 'nodenext', '--target', 'es2023', '--types', 'node', 'use.ts'], { cwd: home, stdio: 'pipe' })
  }, 60_000)

  it('runs as `npx gracer up -- node server.js` in front of an unmodified express app, with no build step there', async () => {
    const home = join(folder, 'app')
    expect(existsSync(join(home, 'node_modules', '.bin', 'gracer'))).toBe(true)
    const port = await freePort()
    let said = ''
    const up = spawn('npx', ['--no-install', 'gracer', 'up', '--listen', `127.0.0.1:${port}`, '--', 'node', 'server.js'], { cwd: home, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    const ended = new Promise<number | null>((resolve) => up.once('close', resolve))
    for (const stream of [up.stdout, up.stderr]) stream.setEncoding('utf8').on('data', (more: string) => (said += more))
    try {
      await until('the app to answer', async () => {
        if (up.exitCode !== null) throw new Error(said)
        return (await ask(port).catch(() => '')) === 'hello from my own app'
      }, 30_000, 50)
      writeFileSync(join(home, 'server.js'), app.replace('my own app', 'my next build'))
      execFileSync('npx', ['--no-install', 'gracer', 'swap', '--until', 'flip'], { cwd: home, stdio: 'pipe' })
      expect(await ask(port)).toBe('hello from my next build')
      execFileSync('npx', ['--no-install', 'gracer', 'down'], { cwd: home, stdio: 'pipe' })
      expect(await ended).toBe(0)
    } finally {
      if (up.exitCode === null && up.pid !== undefined) process.kill(-up.pid, 'SIGTERM')
      await ended
    }
  }, 90_000)
})

function npm(cwd: string, ...args: string[]): string {
  return execFileSync('npm', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, npm_config_loglevel: 'error' } })
}

function ask(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    http.get({ host: '127.0.0.1', port, agent: false }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (more: string) => (body += more)).on('end', () => resolve(body)).on('error', reject)
    }).on('error', reject)
  })
}

