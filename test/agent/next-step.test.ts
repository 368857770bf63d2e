import { expect, it } from 'vitest'
import { hintFor } from '../../agent/service/next-step.ts'
import type { ReleaseRecord } from '../../agent/swap/state.ts'

const failed = (command: readonly string[], stage: 'boot' | 'hook' = 'boot') => ({
  id: 'v3', number: 3, name: 'v3', source: '/srv/releases/v3.mjs', dropKey: 'k', copy: { root: '/b/v3', folder: '/b/v3', file: 'v3.mjs', sha256: '0' }, boot: { command }, process: null,
  everConfirmed: false, outcome: { name: 'failed', reason: 'exit', failure: { stage, logFile: null } },
}) as unknown as ReleaseRecord

it('a single file that the command does not name, and that did not come up: the command is named as the likely cause', () => {
  const next = (record: ReleaseRecord) => hintFor('failed', record, undefined as never, null)
  expect(next(failed(['node', 'server.mjs']))).toBe('The command does not name v3.mjs, all that this build holds: write {build} in it where the file goes, as in "node {build}". As it is, it is not deployed again by itself. When it is mended: gracer swap v3.')
  for (const record of [failed(['node', '/b/v3/v3.mjs']), failed(['node', 'v3.mjs']), failed(['node', 'server.mjs'], 'hook'), { ...failed(['node', 'server.mjs']), copy: null }]) expect(next(record)).toMatch(/^As it is/)
})
