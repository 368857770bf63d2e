import { copyFileSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { until } from '../support/deadline.ts'
import { GracerProcess, root } from '../support/gracer-process.ts'
import { cost } from './proxy-cost.ts'

export interface AccessCostFigures {
  readonly requests: number
  /** CPU microseconds of the worker for one GET, as `npm run bench -- proxy` counts them: without an access log, with one, and with one of a tenth. */
  readonly withoutUs: readonly number[]
  readonly withUs: readonly number[]
  readonly tenthUs: readonly number[]
  /** Round by round, by what it costs without; the median. */
  readonly ratio: number
  readonly tenthRatio: number
}

const rounds = 7
const ways = { withoutUs: false, withUs: { file: './access.log', size: '1GB' }, tenthUs: { file: './access.log', size: '1GB', sample: 0.1 } } as const

/** What a line for each request costs: one worker, in which reloads switch the access log off and on, in turn. */
export async function accessCost(requests: number, say: (line: string) => void): Promise<AccessCostFigures> {
  const gracer = await GracerProcess.startWith({}, async (one) => {
    const folder = join(one.releases, 'hello')
    mkdirSync(folder)
    copyFileSync(join(root, 'test', 'apps', 'bench-hello.mjs'), join(folder, 'server.mjs'))
    writeFileSync(`${folder}.ready`, '')
    await Promise.resolve()
  })
  const file = join(gracer.folder, 'access.log')
  const figures = { withoutUs: [] as number[], withUs: [] as number[], tenthUs: [] as number[] }
  try {
    const worker = (await gracer.status()).proxy.workers[0] ?? 0
    for (let round = 0; round <= rounds; round += 1) {
      for (const [name, access] of Object.entries(ways) as [keyof typeof ways, unknown][]) {
        gracer.writeConfig({ log: { access } })
        const { code, stderr } = await gracer.cli('reload')
        if (code !== 0) throw new Error(stderr)
        const before = sizeOf(file)
        const us = await cost(gracer.port, worker, requests)
        // A log that wrote nothing would cost nothing.
        if (access !== false) await until('a line for each request', () => sizeOf(file) - before > requests * (name === 'withUs' ? 200 : 10))
        // The first round warms up.
        if (round > 0) figures[name].push(us)
      }
      if (round > 0) say(`round ${round}: ${Object.entries(figures).map(([name, values]) => `${name} ${values.at(-1)?.toFixed(1)}`).join(', ')}`)
    }
    return { requests: requests * rounds, ...figures, ratio: median(figures.withUs, figures.withoutUs), tenthRatio: median(figures.tenthUs, figures.withoutUs) }
  } finally {
    await gracer.end()
  }
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0
}

function median(ours: readonly number[], base: readonly number[]): number {
  const ratios = ours.map((one, index) => one / (base[index] ?? NaN)).sort((a, b) => a - b)
  return Math.round((ratios[Math.floor(ratios.length / 2)] ?? NaN) * 100) / 100
}
