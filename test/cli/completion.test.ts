import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { runCli } from '../support/gracer-process.ts'

const folder = mkdtempSync(join(tmpdir(), 'gracer-completion-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function has(shell: string): boolean {
  const found = spawnSync(shell, ['-c', 'true']).status === 0
  if (!found) process.stderr.write(`completion.test.ts: ${shell} is not installed, so its script is not tried\n`)
  return found
}

async function script(shell: string): Promise<string> {
  const { code, stdout } = await runCli(folder, ['completion', shell])
  expect(code).toBe(0)
  const file = join(folder, `gracer.${shell}`)
  writeFileSync(file, stdout)
  return file
}

it.skipIf(!has('bash'))('completes verbs, options, choices and the words of a verb in bash', async () => {
  const file = await script('bash')
  const complete = (...words: string[]): string[] => {
    const list = ['gracer', ...words].map((word) => `'${word}'`).join(' ')
    const run = spawnSync('bash', ['-c', `source ${file}; COMP_WORDS=(${list}); COMP_CWORD=${words.length}; _gracer; printf '%s\\n' "\${COMPREPLY[@]}"`], { encoding: 'utf8', env: { ...process.env, PATH: '/usr/bin:/bin' } })
    expect(run.stderr).toBe('')
    return run.stdout.trim().split('\n')
  }
  expect(complete('sw')).toEqual(['swap'])
  expect(complete('swap', '--un')).toEqual(['--until'])
  expect(complete('swap', '--until', 'd')).toEqual(['drained'])
  expect(complete('--json', 'stat')).toEqual(['status'])
  expect(complete('completion', 'z')).toEqual(['zsh'])
})

it.skipIf(!has('zsh'))('is a script that zsh reads', async () => {
  const file = await script('zsh')
  const run = spawnSync('zsh', ['-f', '-c', `autoload -U compinit && compinit -u -d ${join(folder, 'dump')}; source ${file}; print $_comps[gracer]`], { encoding: 'utf8' })
  expect([run.stdout.trim(), run.stderr]).toEqual(['_gracer', ''])
})

it.skipIf(!has('fish'))('completes verbs, options and choices in fish', async () => {
  const file = await script('fish')
  const complete = (line: string): string[] => {
    const run = spawnSync('fish', ['-N', '-c', `source ${file}; complete -C "${line}"`], { encoding: 'utf8', env: { ...process.env, HOME: folder } })
    expect(run.stderr).toBe('')
    return run.stdout.trim().split('\n').map((row) => row.split('\t')[0] ?? '')
  }
  expect(complete('gracer sw')).toEqual(['swap'])
  expect(complete('gracer swap --until d')).toEqual(['drained'])
  expect(complete('gracer swap --un')).toEqual(['--until'])
})

it('refuses a shell it does not know', async () => {
  const { code, stderr } = await runCli(folder, ['completion', 'tcsh'])
  expect([code, stderr]).toEqual([2, expect.stringContaining('expected bash, zsh, fish, got "tcsh"')])
})
