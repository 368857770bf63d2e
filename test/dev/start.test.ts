import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { DevFlags } from '../../agent/cli/dev.ts'
import { plainDevFlags } from '../../agent/cli/dev-words.ts'
import { buildProgram } from '../../agent/cli/program.ts'
import { configureUsage } from '../../agent/cli/usage.ts'
import { devFlags, type Flags } from '../../agent/cli/verb-dev.ts'
import { loadConfig } from '../../agent/config/load.ts'
import { plainConfig } from '../../agent/dev/plain-config.ts'

test('the config that needs no schema is the one that the schema gives where there is no file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'gracer-plain-'))
  try {
    const { services: [full, ...others], ...rest } = loadConfig({ cwd: folder, overrides: { listen: '[::1]:81' } })
    const { services: [plain], ...plainRest } = plainConfig(folder, { host: '::1', port: 81 })
    expect(plainRest).toEqual(rest)
    // Nothing in dev reads the canary's settings.
    expect(plain).toEqual({ ...full, canary: undefined })
    expect(others).toEqual([])
  } finally {
    rmSync(folder, { recursive: true })
  }
})

/** What the parser of the whole command line makes of it; null: an error. */
function parsed(words: readonly string[]): DevFlags | null {
  let flags: DevFlags | null = null
  const program = buildProgram(() => {})
  configureUsage(program)
  const dev = program.commands.find((command) => command.name() === 'dev')
  dev?.configureOutput({ outputError: () => {} }).action((rest: string[], own: Flags) => {
    flags = devFlags(rest, own, dev)
  })
  try {
    program.parse(['dev', ...words], { from: 'user' })
  } catch {
    return null
  }
  return flags
}

test('plain words behind `gracer dev` are read without the parser as the parser reads them', () => {
  const word = fc.constantFrom(
    '--json', '--no-color', '--keep-old', '--no-inject', '--no-overlap', '--poll', '--listen', '--watch', '--ignore', '--build', '--config', '--state', '--service',
    '--inspect', '--build-timeout', '--listen=81', '--help', '--jso', '-x', '8080', 'src', '5s', 'node', 'server.js', '--',
  )
  let read = 0
  fc.assert(fc.property(fc.array(word, { maxLength: 8 }), (words) => {
    const plain = plainDevFlags(words)
    if (plain === null) return
    read += 1
    expect(plain).toEqual(parsed(words))
  }), { numRuns: 2_000, seed: 1 })
  expect(read).toBeGreaterThan(100)
  expect(plainDevFlags(['--listen', '81', '--', 'node', '--json'])).toMatchObject({ listen: '81', command: ['node', '--json'], json: false })
})
