import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { root } from '../support/gracer-process.ts'
import { until } from '../support/deadline.ts'
import { Standalone } from '../support/standalone.ts'

const programs: Standalone[] = []
afterEach(async () => {
  for (const program of programs.splice(0)) await program.end()
})

const page = readFileSync(join(root, 'docs/library.md'), 'utf8')

test('the first example of the page runs as it stands, and upgrades by the commands that stand below it', async () => {
  const example = /```js\n([^]*?)```/.exec(page)?.[1] ?? ''
  expect(example.trim().split('\n').length).toBeLessThanOrEqual(22)
  expect(page).toContain('kill -USR2 $(cat server.pid)')
  expect(page).toContain('curl --unix-socket run/control.sock -X POST http://localhost/upgrade')
  const program = await Standalone.start({
    command: [process.execPath, 'example.mjs'],
    prepare: (folder) => {
      mkdirSync(join(folder, 'node_modules'))
      symlinkSync(root, join(folder, 'node_modules', 'gracer'))
      const { port } = JSON.parse(readFileSync(join(folder, 'serve.json'), 'utf8')) as { port: number }
      writeFileSync(join(folder, 'example.mjs'), example.replace('port: 3000', `port: ${port}`))
    },
  })
  programs.push(program)
  expect(await program.get('/')).toBe(`hello from generation 1, pid ${program.child.pid}\n`)
  process.kill(Number(readFileSync(join(program.folder, 'server.pid'), 'utf8')), 'SIGUSR2')
  expect(await program.exited).toBe(0)
  expect(program.log()).toMatch(/left: \d+ finished, 0 cut/)
  await until('the predecessor to be known as gone', async () => (await program.describe()).leaving === null)
  expect(await program.upgrade()).toMatchObject({ ok: true, generation: 3 })
}, 40_000)

test('every option and code that there is stands in the page', () => {
  const options = /export interface ServeOptions[^]*?\n}/.exec(readFileSync(join(root, 'inherit/upgrade/serve-options.ts'), 'utf8'))?.[0] ?? ''
  const names = [...options.matchAll(/^ {2}readonly (\w+)\?/gm)].map((match) => match[1] ?? '')
  expect(names.length).toBeGreaterThan(10)
  expect(names.filter((name) => !page.includes(`\`${name}\``))).toEqual([])
  const codes = [.../'(\w+)'(?: \| '(\w+)')+/.exec(/type UpgradeFailure = .*/.exec(readFileSync(join(root, 'inherit/upgrade/upgrade-error.ts'), 'utf8'))?.[0] ?? '')?.[0].matchAll(/\w+/g) ?? []].map(String)
  expect(codes.length).toBe(6)
  expect(codes.filter((code) => !page.includes(`\`${code}\``))).toEqual([])
})
