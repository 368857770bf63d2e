import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { until } from '../support/deadline.ts'
import { GracerProcess } from '../support/gracer-process.ts'

const config = { releases: null, watch: 'server.mjs', settle: '2500ms', bake: '100ms' }
const script = `import { createServer } from 'node:http'\ncreateServer((req, res) => res.end(process.execArgv.includes('--no-warnings') ? 'other' : 'first')).listen(3000)\n`

it('a watched file that still settles holds requests at the start; a later start says that another command waits for a boot', async () => {
  const gracer = await GracerProcess.create({ config: { ...config, command: ['node', 'server.mjs'] } })
  try {
    writeFileSync(join(gracer.folder, 'server.mjs'), script)
    await gracer.up()
    const answer = await fetch(gracer.url)
    expect([answer.status, await answer.text()]).toEqual([200, 'first'])
    await gracer.live()
    const log = (): string => readFileSync(join(gracer.folder, '.gracer', 'log', 'gracer.log'), 'utf8')
    expect((await gracer.cli('down')).code).toBe(0)
    gracer.writeConfig({ ...config, command: ['node', '--no-warnings', 'server.mjs'] })
    await gracer.up()
    await gracer.live()
    await until('gracer to say so', () => log().includes('v1 runs as it was deployed, by \\"node server.mjs\\"; \\"node --no-warnings server.mjs\\" is taken up by the next boot: gracer restart'))
    expect(await (await fetch(gracer.url)).text()).toBe('first')
    expect((await gracer.cli('restart')).code).toBe(0)
    expect(await (await fetch(gracer.url)).text()).toBe('other')
  } finally {
    await gracer.end()
  }
}, 60_000)
