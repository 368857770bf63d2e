import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { BuildOutput } from '../../agent/dev/build-output.ts'
import { directCommand } from '../../agent/dev/direct-command.ts'
import { describeFailure } from '../../agent/dev/failure.ts'
import { escapeHtml, renderFailure } from '../../agent/dev/failure-page.ts'
import { inferDevCommand } from '../../agent/dev/infer-dev-command.ts'
import { parseInspect, withoutInspect } from '../../agent/dev/inspector.ts'
import { OwnWrites } from '../../agent/dev/own-writes.ts'
import { changedText } from '../../agent/dev/report.ts'
import { IgnoreRules } from '../../agent/dev/watch/ignore-rules.ts'
import { quietMs } from '../../agent/dev/watch/quiet.ts'

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'gracer-dev-parts-')))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let projects = 0
function project(files: Record<string, string>): string {
  projects += 1
  const root = join(folder, `p${projects}`)
  mkdirSync(root)
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(root, name, '..'), { recursive: true })
    writeFileSync(join(root, name), text)
  }
  return root
}

function withScripts(scripts: Record<string, string>, more: Record<string, unknown> = {}, files: Record<string, string> = {}): string {
  return project({ 'package.json': JSON.stringify({ scripts, ...more }), ...files })
}

describe('without a command', () => {
  test.each<[string, Record<string, string>, readonly string[]]>([
    ['dev is taken before start', { dev: 'node a.js', start: 'node b.js' }, ['node', 'a.js']],
    ['start where there is no dev', { start: 'node --enable-source-maps b.js' }, ['node', '--enable-source-maps', 'b.js']],
    ['node --watch runs without its watch', { dev: 'node --watch src/a.mjs --port 1' }, ['node', 'src/a.mjs', '--port', '1']],
    ['nodemon too', { dev: 'nodemon --watch src -e ts,js --delay 1 src/a.js' }, ['node', 'src/a.js']],
    ['nodemon with --exec', { dev: 'nodemon -w src --exec "tsx" src/a.ts' }, ['tsx', 'src/a.ts']],
    ['tsx watch too', { dev: 'tsx watch src/a.ts' }, ['tsx', 'src/a.ts']],
    ['a server that reloads by itself is left out', { dev: 'vite', start: 'node b.js' }, ['node', 'b.js']],
    ['what needs a shell gets one', { dev: 'node a.js && echo done' }, ['/bin/sh', '-c', 'node a.js && echo done']],
    ['npm runs what has hooks', { predev: 'true', dev: 'node a.js' }, ['npm', 'run', '--silent', 'dev']],
    ['gracer itself is not started in itself', { dev: 'gracer dev', start: 'node b.js' }, ['node', 'b.js']],
  ])('%s', (_what, scripts, command) => {
    expect(inferDevCommand(withScripts(scripts)).command).toEqual(command)
  })

  test('variables in front of it are set, and it says which it took', () => {
    const found = inferDevCommand(withScripts({ dev: 'NODE_ENV=development node a.js' }))
    expect(found.command).toEqual(['node', 'a.js'])
    expect(found.env.get('NODE_ENV')).toBe('development')
    expect(found.from).toContain('"dev" of package.json')
  })

  test('main, then the usual names; where there is nothing, or only vite, it says what to type', () => {
    expect(inferDevCommand(withScripts({}, { main: 'lib/a.js' }, { 'lib/a.js': '' })).command).toEqual(['node', 'lib/a.js'])
    expect(inferDevCommand(project({ 'server.mjs': '' })).command).toEqual(['node', 'server.mjs'])
    expect(() => inferDevCommand(project({}))).toThrow(/does not say what to run/)
    expect(() => inferDevCommand(withScripts({ dev: 'vite --port 3000' }))).toThrow(/reloads by itself/)
  })
})

test('npx and tsx are run without processes in between where that is the same', () => {
  const root = project({ 'node_modules/tsx/package.json': '{"name":"tsx","main":"a.js"}', 'node_modules/tsx/a.js': '', 'node_modules/.bin/tsx': '', 'node_modules/.bin/other': '' })
  expect(directCommand(['npx', 'tsx', 'server.ts'], root).command).toEqual(['node', '--import', 'tsx', 'server.ts'])
  expect(directCommand(['npx', 'other', 'x'], root).command).toEqual(['other', 'x'])
  expect(directCommand(['npx', 'absent', 'x'], root)).toEqual({ command: ['npx', 'absent', 'x'], instead: null })
  expect(directCommand(['tsx', '--tsconfig', 'a', 'server.ts'], root).instead).toBeNull()
})

describe('what is watched', () => {
  const root = project({ '.gitignore': 'secret\n*.gen.js\n/only-here\n!keep.gen.js\n', 'src/.gitignore': 'local\n', '.git/x': '' })
  const rules = new IgnoreRules({ folder: root, ignore: ['docs', '*.md'], keep: [join(root, '.env')], defaults: true })
  const ignored = (path: string, isFolder = false): boolean => rules.ignores(join(root, path), isFolder)

  test('is the folder less dependencies, output, litter, and what .gitignore and --ignore name', () => {
    for (const path of ['a.js', 'src/a.ts', 'views/x.html', '.env', '.env.local', 'src/only-here', 'keep.gen.js', 'data.json']) expect([path, ignored(path)]).toEqual([path, false])
    for (const path of ['secret', 'a.gen.js', 'src/b.gen.js', 'only-here', 'src/local', 'README.md', 'a.js~', '.a.js.swp', '4913', 'app.log', 'x.sqlite-wal', '.DS_Store']) expect([path, ignored(path)]).toEqual([path, true])
    for (const path of ['node_modules', '.git', 'dist', 'src/coverage', 'docs', '.idea', 'packages/a/node_modules']) expect([path, ignored(path, true)]).toEqual([path, true])
    for (const path of ['src', 'packages']) expect([path, ignored(path, true)]).toEqual([path, false])
  })

  test('is also the output folder from which the program itself runs', () => {
    const own = new IgnoreRules({ folder: root, ignore: [], keep: [join(root, 'dist', 'server')], defaults: true })
    expect(own.ignores(join(root, 'dist'), true)).toBe(false)
    expect(own.ignores(join(root, 'dist', 'server', 'a.js'), false)).toBe(false)
    expect(own.ignores(join(root, 'dist', 'server', 'node_modules'), true)).toBe(true)
    expect(own.ignores(join(root, 'build'), true)).toBe(true)
  })
})

test('a burst is over sooner the smaller it is, and later the more boots it has cost', () => {
  expect(quietMs(1, 0)).toBeLessThanOrEqual(5)
  for (const [less, more] of [[1, 2], [10, 11], [50, 5_000]] as const) expect(quietMs(less, 0)).toBeLessThan(quietMs(more, 0))
  expect(quietMs(1, 1)).toBeGreaterThan(quietMs(1, 0))
  expect(quietMs(5_000, 100)).toBeLessThanOrEqual(300)
})

describe('what a build writes', () => {
  test('is known when it changes in two builds running, and new files beside it with it; a save in a build is not', () => {
    const output = new BuildOutput()
    output.begins()
    expect(output.judge('/a/public/b.js', true)).toBe('save')
    expect(output.judge('/a/src/c.js', false)).toBe('save')
    output.begins()
    expect(output.judge('/a/public/b.js', false)).toBe('learned')
    expect(output.judge('/a/public/b-2.js', true)).toBe('output')
    output.begins()
    expect(output.judge('/a/public/b.js', false)).toBe('output')
    expect(output.judge('/a/src/c.js', false)).toBe('save')
    expect(output.judge('/a/public/index.html', false)).toBe('save')
  })

  test('is a person’s again when it changes while no build runs', () => {
    const output = new BuildOutput()
    output.begins()
    output.judge('/a/b.js', false)
    output.begins()
    expect(output.judge('/a/b.js', false)).toBe('learned')
    output.saved('/a/b.js')
    output.begins()
    expect(output.judge('/a/b.js', false)).toBe('save')
  })
})

test('a file that the app writes at every boot is given up, code never is', () => {
  const own = new OwnWrites()
  for (let time = 0; time < 3; time += 1) expect(own.reload(['/a/state.bin'], 10)).toEqual([])
  expect(own.reload(['/a/state.bin'], 10)).toEqual(['/a/state.bin'])
  expect(own.ignores('/a/state.bin')).toBe(true)
  for (let time = 0; time < 20; time += 1) expect(own.reload(['/a/server.js'], 10)).toEqual([])
  for (let time = 0; time < 20; time += 1) expect(own.reload(['/a/other.bin'], 60_000)).toEqual([])
})

describe('a failure', () => {
  const root = project({ 'src/a.mjs': 'one\ntwo\nconst x = <b>;\nfour\n', 'other.txt': 'x' })
  const output = [`file://${root}/src/a.mjs:3`, 'const x = <b>;', '          ^', '', "SyntaxError: Unexpected token '<'", '    at node:internal/x:1:2']

  test('shows the error’s own words, and its line among its neighbours', () => {
    const failure = describeFailure({ stage: 'boot', title: 'It failed.', output, folder: root, command: 'node src/a.mjs' })
    expect(failure.error).toBe("SyntaxError: Unexpected token '<'")
    expect(failure.place).toEqual({ file: 'src/a.mjs', line: 3, column: null })
    expect(failure.source.find((line) => line.hit)?.text).toBe('const x = <b>;')
    const html = renderFailure(failure, 'text/html,*/*', '<script></script>')
    expect(html.type).toContain('text/html')
    expect(html.text).toContain(escapeHtml('const x = <b>;'))
    expect(html.text).not.toContain('<b>')
    expect(JSON.parse(renderFailure(failure, 'application/json', '').text).error.place.line).toBe(3)
    expect(renderFailure(failure, '*/*', '').text).toContain('>     3 | const x = <b>;')
  })

  test('shows no line of a file that is not of the folder, by whatever way it is named', () => {
    symlinkSync('/etc/passwd', join(root, 'link.js'))
    for (const named of ['/etc/passwd.conf:1:1', '../../../etc/passwd.conf:1:1', `${root}/link.js:1:1`, `${root}/node_modules/a/b.js:1:1`, `${root}/../p1/x.js:1:1`]) {
      const failure = describeFailure({ stage: 'boot', title: 'x', output: [`Error: x at ${named}`], folder: root, command: '' })
      expect([named, failure.source]).toEqual([named, []])
    }
  })

  test.each([
    [['src/a.ts(3,5): error TS2322: Type'], 'src/a.ts', 3],
    [['Error [ERR_X]: bad', '    at f (/nowhere/b.js:1:1)', '    at g (ROOT/src/a.mjs:2:4)'], 'src/a.mjs', 2],
    [['ROOT/src/a.mjs:4:10: ERROR: Expected ";"'], 'src/a.mjs', 4],
  ])('finds the place in %j', (lines, file, line) => {
    const failure = describeFailure({ stage: 'build', title: 'x', output: lines.map((one) => one.replace('ROOT', root)), folder: root, command: '' })
    expect([failure.place?.file, failure.place?.line]).toEqual([file, line])
  })

  test('of a file that esbuild cannot read is what esbuild says of it, not how many errors there are', () => {
    const output = ['Error [TransformError]: Transform failed with 1 error:', `${root}/src/a.mjs:1:3: ERROR: Expected ";" but found "}"`, '    at failureErrorWithLog (/x.js:1:1)']
    expect(describeFailure({ stage: 'boot', title: 'x', output, folder: root, command: '' })).toMatchObject({ error: 'Expected ";" but found "}"', place: { file: 'src/a.mjs', line: 1 } })
  })

  test('says what to do about a taken port, a missing package and a missing program', () => {
    const hint = (line: string): string | null => describeFailure({ stage: 'boot', title: 'x', output: [line], folder: root, command: '' }).hint
    expect(hint('Error: listen EADDRINUSE: address already in use 127.0.0.1:9090')).toMatch(/Port 9090 .*--no-overlap/)
    expect(hint("Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'express' imported from /a")).toMatch(/express is not installed/)
    expect(hint("Error [ERR_MODULE_NOT_FOUND]: Cannot find module '/a/server.mjs' imported from /a/")).toMatch(/no file \/a\/server\.mjs/)
    expect(hint("Error: Cannot find module '/a/server.js'\n    at Module._resolveFilename (node:internal/modules/cjs/loader:1207:15)")).toMatch(/no file \/a\/server\.js/)
    expect(hint("Error [ERR_MODULE_NOT_FOUND]: Cannot find module '/a/b.mjs' imported from /a/server.mjs")).toBeNull()
  })
})

test('the inspect flag is taken out of the command, wherever the debugger is wanted', () => {
  expect(parseInspect('--inspect')).toEqual({ host: '127.0.0.1', port: 9229, brk: false })
  expect(parseInspect('--inspect-brk=0.0.0.0:9230')).toEqual({ host: '0.0.0.0', port: 9230, brk: true })
  expect(withoutInspect(['node', '--inspect=9231', 'a.js', '--inspect']).command).toEqual(['node', 'a.js', '--inspect'])
  expect(withoutInspect(['node', 'a.js', '--inspect']).inspect).toBeNull()
})

test('a line names three files at most', () => {
  expect(changedText(['a', 'b', 'c'])).toBe('a, b, c')
  expect(changedText(['a', 'b', 'c', 'd', 'e'])).toBe('a, b, c and 2 more')
})
