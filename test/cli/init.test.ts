import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadConfig } from '../../agent/config/load.ts'
import { dockerfileCommand, dockerfileHealth, namedHealthPath, procfileCommand, starterConfig } from '../../agent/config/starter.ts'
import { runCli } from '../support/gracer-process.ts'

let folder: string
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'gracer-init-')))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function put(files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
}

describe('gracer init', () => {
  it('writes a commented config that gracer itself reads, with what the folder says', async () => {
    put({ 'package.json': '{"scripts":{"start":"node app/main.js"}}', '.env': 'A=1\n' })
    mkdirSync(join(folder, 'app'))
    put({ 'app/main.js': "app.get('/healthz', ok)" })
    mkdirSync(join(folder, 'releases'))
    const { code, stdout, stderr } = await runCli(folder, ['init'])
    expect([code, stdout]).toEqual([0, `${join(folder, 'gracer.json')} is written; the app is started by "node app/main.js", from the start script of package.json\n`])
    expect(stderr).toContain('next: gracer check, then gracer up')
    expect(readFileSync(join(folder, 'gracer.json'), 'utf8')).toContain('// ')
    const config = loadConfig({ cwd: folder })
    expect(config.services[0]).toMatchObject({ command: ['node', 'app/main.js'], releases: join(folder, 'releases'), envFile: join(folder, '.env'), health: { path: '/healthz' } })
    expect((await runCli(folder, ['check'])).code).toBe(0)
  })

  it('takes what runs in production before what may be for development: Procfile, then Dockerfile, then package.json', async () => {
    put({ 'package.json': '{"scripts":{"start":"nodemon x.js"}}', Dockerfile: 'FROM node\nHEALTHCHECK --interval=5s CMD curl -f http://localhost:3000/up || exit 1\nCMD ["node", "b.js"]\n' })
    expect(JSON.parse((await runCli(folder, ['init', '--json'])).stdout)).toMatchObject({ schema: 1, command: ['node', 'b.js'], commandFrom: "the Dockerfile's CMD", healthPath: '/up' })
    put({ Procfile: 'release: migrate\nweb: node a.js --port $PORT\n' })
    expect(JSON.parse((await runCli(folder, ['init', '--json', '--force'])).stdout)).toMatchObject({ command: ['sh', '-c', 'exec node a.js --port $PORT'], commandFrom: 'the Procfile' })
  })

  it('leaves a config that is there, and writes one to be filled in where nothing says how the app is started', async () => {
    const empty = await runCli(folder, ['init'])
    expect([empty.code, empty.stderr]).toEqual([0, expect.stringContaining('put "command" into it')])
    expect(loadConfig({ cwd: folder }).services[0]?.command).toBe(null)
    put({ 'gracer.json': '{}' })
    const again = await runCli(folder, ['init'])
    expect([again.code, again.stderr]).toEqual([2, expect.stringContaining('exists and was left as it is')])
    expect(readFileSync(join(folder, 'gracer.json'), 'utf8')).toBe('{}')
  })
})

it('reads commands and health paths as they are written', () => {
  expect(procfileCommand('web: node server.js')).toEqual(['node', 'server.js'])
  expect(procfileCommand('worker: node jobs.js')).toBe(null)
  expect(procfileCommand('web: A=1 node x && y')).toEqual(['sh', '-c', 'A=1 node x && y'])
  expect(dockerfileCommand('CMD node \\\n  server.js')).toEqual(['node', 'server.js'])
  expect(dockerfileCommand('CMD ["node", "old.js"]\nCMD ["node", "new.js"]')).toEqual(['node', 'new.js'])
  expect(dockerfileCommand('ENTRYPOINT ["node"]\nCMD ["server.js"]')).toEqual(['node', 'server.js'])
  expect(dockerfileCommand('ENTRYPOINT ["/usr/bin/tini", "--"]\nCMD ["node", "server.js"]')).toEqual(['node', 'server.js'])
  expect(dockerfileCommand('ENTRYPOINT ["node", "server.js"]')).toEqual(['node', 'server.js'])
  expect(dockerfileCommand('ENTRYPOINT exec node $X\nCMD ["y"]')).toEqual(['sh', '-c', 'exec node $X'])
  expect(dockerfileCommand('ENTRYPOINT ["docker-entrypoint.sh"]')).toBe(null)
  expect(dockerfileCommand('CMD [broken')).toBe(null)
  expect(dockerfileHealth('HEALTHCHECK CMD wget -q http://127.0.0.1:80/status/live?x=1 || exit 1')).toBe('/status/live?x=1')
  expect(dockerfileHealth('HEALTHCHECK NONE')).toBe(null)
  expect(namedHealthPath('app.get("/health", f)')).toBe('/health')
  expect(namedHealthPath('app.get("/healthy", f)')).toBe(null)
})

it('is a valid config whatever was found', () => {
  for (const command of [null, { words: ['sh', '-c', 'exec "x" // y'], from: 'the Procfile' }]) {
    for (const health of [null, { path: '/up', from: 'a "file"' }]) {
      writeFileSync(join(folder, 'gracer.json'), starterConfig({ command, health, envFile: false, releases: false }))
      expect(loadConfig({ cwd: folder }).services[0]?.command).toEqual(command?.words ?? null)
    }
  }
})
