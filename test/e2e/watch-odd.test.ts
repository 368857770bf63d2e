import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Receipt } from '../../agent/control/shapes.ts'
import { until } from '../support/deadline.ts'
import { GracerProcess } from '../support/gracer-process.ts'
import { explain, receipts } from './observe.ts'

const config = { bake: '150ms', settle: '200ms', releases: null, command: ['node', 'server.mjs'] }

/** A program that answers with what it is; `text` is an expression. */
const says = (text: string): string => `import http from 'node:http'\nimport fs from 'node:fs'\nhttp.createServer((req, res) => res.end(${text})).listen(process.env.PORT)\n`
/** One that does not listen before the file is there. */
const saysAfter = (file: string, text: string): string => `import { existsSync } from 'node:fs'\nwhile (!existsSync(${JSON.stringify(file)})) await new Promise((resolve) => setTimeout(resolve, 20))\n${says(text)}`

let gracer: GracerProcess
const at = (...parts: string[]): string => join(gracer.folder, ...parts)
const answer = async (): Promise<string> => (await fetch(gracer.url)).text()
const outcome = (release: string): Promise<Receipt> => until(`the outcome of ${release}`, async () => (await receipts(gracer)).find((one) => one.release === release), 20_000)
/** It was taken in, and its process runs. */
const booted = (release: string): Promise<boolean> => until(`${release} to boot`, async () => (await gracer.status()).services[0]?.releases.some(({ id, pid }) => id === release && pid !== null))
async function confirmed(release: string, text: string): Promise<void> {
  expect(await outcome(release)).toMatchObject({ outcome: 'confirmed' })
  expect(await answer()).toBe(text)
}

describe('a watched file', () => {
  beforeAll(async () => {
    gracer = await GracerProcess.create({ config: { ...config, watch: 'deploy/server.mjs' } })
    await gracer.up()
  }, 30_000)
  afterAll(async () => {
    await gracer.end()
  })
  const path = (): string => at('deploy', 'server.mjs')
  const place = (text: string): void => {
    writeFileSync(at('aside'), text)
    renameSync(at('aside'), path())
  }

  it('need not be there, nor its folder, when gracer starts', async () => {
    expect((await fetch(gracer.url)).status).toBe(503)
    mkdirSync(at('deploy'))
    writeFileSync(path(), says('"one"'))
    await confirmed('v1', 'one')
  }, 30_000)

  it('that is removed leaves what is live, whose crash restart runs the copy; put back as it was it is no new build', async () => {
    rmSync(path())
    const pid = async (): Promise<number | null> => (await gracer.status()).services[0]?.releases.find(({ id }) => id === 'v1')?.pid ?? null
    const before = await pid()
    process.kill(before ?? 0, 'SIGKILL')
    await until('v1 to run again', async () => ![null, before].includes(await pid()) && (await answer()) === 'one')
    writeFileSync(path(), says('"one"'))
    // By then it has been looked at many times; the next one is v2, so there was none in between.
    await until('it to be old', () => Date.now() - statSync(path()).ctimeMs > 1_000)
    place(says('"two"'))
    await confirmed('v2', 'two')
  }, 30_000)

  it('that is truncated to nothing, or half written by somebody who pauses, harms nobody', async () => {
    truncateSync(path())
    expect(await outcome('v3')).toMatchObject({ outcome: 'failed', reason: expect.stringContaining('is empty') as string })
    expect(await answer()).toBe('two')
    const writer = spawn('sh', ['-c', 'exec > "$1"; printf "this is no program("; read line; exec cat > "$1"', 'sh', path()], { stdio: ['pipe', 'ignore', 'ignore'] })
    await until('gracer to see that it is being written', () => gracer.gracerLog().some(({ event, code }) => event === 'drops.notice' && code === 'still-open'))
    writer.stdin.end(`\n${says('"four"')}`)
    await confirmed('v4', 'four')
  }, 30_000)

  it('may be a symlink, to a file of another name; replaced while a swap runs, the newest wins, and what is copied is what was announced', async () => {
    mkdirSync(at('builds'))
    const point = (name: string, text: string): void => {
      writeFileSync(at('builds', name), text)
      symlinkSync(at('builds', name), at('aside-link'))
      renameSync(at('aside-link'), path())
    }
    point('five.mjs', saysAfter(at('go'), '"five"'))
    await booted('v5')
    const waits = async (): Promise<string | null> => (await gracer.status()).services[0]?.waiting ?? null
    point('six', says('"six"'))
    await until('six to wait', async () => (await waits()) === 'six')
    point('seven.mjs', says('"seven"'))
    await until('seven to wait', async () => (await waits()) === 'seven.mjs')
    writeFileSync(at('go'), '')
    await confirmed('v6', 'seven')
    expect(readdirSync(at('.gracer', 'services', 'default', 'builds', 'v6'))).toEqual(['server.mjs'])
  }, 30_000)

  it('that waited and is half written when its turn comes is not taken half; the way back is the copy', async () => {
    place(saysAfter(at('go-on'), '"slow"'))
    await booted('v7')
    place(says('"eight"'))
    await until('it to wait', async () => (await gracer.status()).services[0]?.waiting != null)
    writeFileSync(at('half.mjs'), says('"half"'))
    const writer = spawn('sh', ['-c', 'exec > "$1"; cat "$2"; echo half >&2; read line; echo "// done"', 'sh', path(), at('half.mjs')], { stdio: ['pipe', 'ignore', 'pipe'] })
    await once(writer.stderr, 'data')
    writeFileSync(at('go-on'), '')
    expect(await outcome('v8')).toMatchObject({ outcome: 'failed', reason: expect.stringContaining('changed after it had come to rest') as string })
    writer.stdin.end('\n')
    await until('the whole of it', async () => (await answer()) === 'half')
    const live = (await gracer.status()).services[0]?.live
    expect(live).toBe('v9')
    const back = await gracer.cli('rollback', 'v6')
    expect(back.code, back.stderr).toBe(0)
    expect(await answer()).toBe('seven')
    expect(readFileSync(path(), 'utf8')).toContain('// done')
  }, 30_000)
})

describe('a watched folder', () => {
  beforeAll(async () => {
    gracer = await GracerProcess.create({ config: { ...config, watch: 'app', builds: { files: 6 } } })
    mkdirSync(at('app', 'lib', 'deep'), { recursive: true })
    writeFileSync(at('app', 'lib', 'deep', 'text'), 'one')
    writeFileSync(at('app', 'server.mjs'), says('fs.readFileSync("lib/deep/text")'))
    await gracer.up()
    await confirmed('v1', 'one')
  }, 30_000)
  afterAll(async () => {
    await gracer.end()
  })

  it('is another build when a file deep in it changes; the one before still reads its own', async () => {
    writeFileSync(at('app', 'lib', 'deep', 'text'), 'two')
    await confirmed('v2', 'two')
    const back = await gracer.cli('rollback')
    expect(back.code, back.stderr).toBe(0)
    expect(await answer()).toBe('one')
  }, 30_000)

  it('that is emptied fails, and what is live stays', async () => {
    renameSync(at('app', 'lib'), at('lib'))
    renameSync(at('app', 'server.mjs'), at('server.mjs'))
    expect(await outcome('v3')).toMatchObject({ outcome: 'failed' })
    expect(await answer()).toBe('one')
  }, 30_000)

  it('whose symlink leads out is refused; of one that is too large no private copy can be made: it runs where it lies, and that there is no way back is said', async () => {
    const replace = (name: string): void => {
      rmSync(at('app'), { recursive: true })
      renameSync(at(name), at('app'))
    }
    const next = (name: string, text: string): string => {
      mkdirSync(at(name))
      writeFileSync(at(name, 'server.mjs'), says(text))
      return name
    }
    symlinkSync('../outside', at(next('out', '"out"'), 'link'))
    replace('out')
    expect(await outcome('v4')).toMatchObject({ outcome: 'failed', reason: expect.stringContaining('leads out') as string })
    next('large', '"large"')
    for (let i = 0; i < 8; i += 1) writeFileSync(at('large', `f${i}`), 'x')
    replace('large')
    await confirmed('v5', 'large')
    const story = async (release: string): Promise<string> => (await explain(gracer, release)).story.map(({ what }) => what).join('\n')
    expect(await story('v5')).toMatch(/there is no way back to this release once .*app is replaced: no private copy can be made of it \(.*more than 6 files/)
    replace(next('small', '"small"'))
    await confirmed('v6', 'small')
    const back = await gracer.cli('rollback', 'v5')
    expect(back.code).toBe(1)
    expect(back.stdout + back.stderr).toMatch(/there is no way back to v5: no private copy of it could be made, and what lies at .*app now is another build/)
    expect(back.stdout + back.stderr).not.toContain('gets what lies there now')
    expect(await answer()).toBe('small')
    // The one before that has a copy.
    const further = await gracer.cli('rollback', 'v1')
    expect(further.code, further.stderr).toBe(0)
    expect(await answer()).toBe('one')
  }, 60_000)
})
