import { expect, it } from 'vitest'
import { forService, hintFor } from '../../agent/service/next-step.ts'
import type { ReleaseRecord, ServiceState } from '../../agent/swap/state.ts'

const failed = (command: readonly string[], stage: 'boot' | 'hook' = 'boot') => ({
  id: 'v3', number: 3, name: 'v3', source: '/srv/releases/v3.mjs', dropKey: 'k', copy: { root: '/b/v3', folder: '/b/v3', file: 'v3.mjs', sha256: '0' }, boot: { command }, process: null,
  everConfirmed: false, outcome: { name: 'failed', reason: 'exit', failure: { stage, logFile: null } },
}) as unknown as ReleaseRecord

it('a single file that the command does not name, and that did not come up: the command is named as the likely cause', () => {
  const next = (record: ReleaseRecord) => hintFor('failed', record, { service: 'default' } as ServiceState, null)
  expect(next(failed(['node', 'server.mjs']))).toBe('The command does not name v3.mjs, all that this build holds: write {build} in it where the file goes, as in "node {build}". As it is, it is not deployed again by itself. When it is mended: gracer swap v3.')
  for (const record of [failed(['node', '/b/v3/v3.mjs']), failed(['node', 'v3.mjs']), failed(['node', 'server.mjs'], 'hook'), { ...failed(['node', 'server.mjs']), copy: null }]) expect(next(record)).toMatch(/^As it is/)
})

it('of several services the commands name the one they are for, and are commands that are taken', () => {
  const record = { ...failed(['node', '/b/v3/v3.mjs']), outcome: { name: 'failed', reason: 'exit', failure: { stage: 'boot', logFile: '/l' } } } as unknown as ReleaseRecord
  expect(hintFor('failed', record, { service: 'web' } as ServiceState, null)).toBe('See all of its output: gracer logs --service web v3. As it is, it is not deployed again by itself. When it is mended: gracer swap --service web v3.')
  expect(forService('gracer status, gracer canary abort, or gracer rollback.', 'web')).toBe('gracer status, gracer canary abort --service web, or gracer rollback --service web.')
})
