import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { loadConfig } from '../../agent/config/load.ts'

it('a watched path stands instead of a releases folder, never beside one', () => {
  const cwd = mkdtempSync(join(tmpdir(), 'gracer-test-'))
  mkdirSync(join(cwd, 'releases'))
  expect(loadConfig({ cwd, overrides: { watch: 'app' } }).services[0]).toMatchObject({ watch: join(cwd, 'app'), releases: null })
  expect(() => loadConfig({ cwd, overrides: { watch: 'app', releases: 'r' } })).toThrow(/"releases"/)
  writeFileSync(join(cwd, 'gracer.json'), JSON.stringify({ watch: './app', releases: './r' }))
  expect(() => loadConfig({ cwd })).toThrow(/watch.*is set beside "releases"/s)
})
