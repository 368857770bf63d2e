import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, it } from 'vitest'
import { likelyMistakes } from '../../agent/config/likely-mistakes.ts'
import { loadConfig } from '../../agent/config/load.ts'
import { withConfig } from './support.ts'

const path = `${dirname(process.execPath)}:/usr/bin:/bin`

function warnings(content: unknown, prepare: (folder: string) => void = () => {}): Record<string, string> {
  const cwd = withConfig(content)
  prepare(cwd)
  return Object.fromEntries(likelyMistakes(loadConfig({ cwd }), path).map((one) => [one.path, one.message]))
}

const fine = { command: ['node', 'server.mjs'] }

it('has nothing to say of a config that is as it should be', () => {
  expect(warnings(fine)).toEqual({})
  expect(warnings({ ...fine, releases: './drops', envFile: 'x.env', hooks: { prepare: ['sh', '-c', 'true'], release: [['node', 'a.mjs'], ['./migrate']] }, ports: { M: 'auto' } }, (folder) => {
    mkdirSync(join(folder, 'drops'), { mode: 0o755 })
    writeFileSync(join(folder, 'x.env'), 'A=1\n', { mode: 0o640 })
  })).toEqual({})
})

it('warns of commands that are not there, of the service and of each hook', () => {
  expect(warnings({ command: ['nodee', 'x'], hooks: { prepare: ['npmm', 'ci'], confirmed: [['sh', '-c', ':'], ['/no/such']] } })).toEqual({
    command: expect.stringMatching(/"nodee" was not found .*PATH=/), 'hooks.prepare': expect.stringContaining('"npmm" was not found'), 'hooks.confirmed[1]': expect.stringContaining('"/no/such" was not found'),
  })
  expect(warnings({ command: ['node server.mjs'] })['command']).toContain('one word with blanks')
  expect(warnings({})['command']).toBeTruthy()
})

it('warns of folders and files that are open to others, or not there yet', () => {
  expect(warnings({ ...fine, releases: './gone' })).toEqual({ releases: expect.stringContaining('does not exist yet; gracer up makes it') })
  expect(warnings({ ...fine, releases: './drops', envFile: 'x.env' }, (folder) => {
    mkdirSync(join(folder, 'drops'))
    chmodSync(join(folder, 'drops'), 0o777)
    writeFileSync(join(folder, 'x.env'), 'A=1\n')
    chmodSync(join(folder, 'x.env'), 0o644)
  })).toEqual({ releases: expect.stringMatching(/can be written by every user.*chmod o-w/), envFile: expect.stringContaining('chmod o-r') })
})

it('warns of values that do not go together', () => {
  expect(warnings({ ...fine, health: { timeout: '60s' } })).toEqual({ 'health.timeout': expect.stringContaining('is not below health.deadline (1m)') })
  expect(warnings({ ...fine, health: { successes: 100, deadline: '300ms', timeout: '100ms' } })).toEqual({ 'health.successes': expect.stringContaining('do not fit') })
  expect(warnings({ ...fine, bake: '0s' })).toEqual({ bake: expect.stringContaining('not taken back') })
  expect(warnings({ ...fine, drain: { timeout: '85s' } })).toEqual({ drain: expect.stringMatching(/may take 95s.*TimeoutStopSec/) })
  expect(warnings({ ...fine, env: { PORT: '1', OTHER: '2' } })).toEqual({ 'env.PORT': expect.stringContaining('no effect') })
  expect(warnings({ ...fine, overlap: false })).toEqual({ 'hold.timeout': expect.stringContaining('is not above drain.timeout (30s)') })
  expect(warnings({ ...fine, overlap: false, drain: { timeout: '5s' } })).toEqual({})
  expect(warnings({ ...fine, onCrashLoop: 'rollback', hooks: { release: ['sh', 'x'] } })).toEqual({ onCrashLoop: expect.stringContaining('hooks.release') })
  expect(warnings({ command: ['sh', 'x'], trustProxy: true, listen: ':8080' })).toEqual({ trustProxy: expect.stringContaining('X-Forwarded-*') })
  expect(warnings({ ...fine, trustProxy: true })).toEqual({})
})
