import { readdirSync } from 'node:fs'
import { startLoad, type Report } from '../load/load.ts'
import { until } from '../support/deadline.ts'
import { Standalone } from '../support/standalone.ts'

export interface UpgradesScenario {
  readonly upgrades: number
  readonly connections: number
  readonly rate: number
  readonly front?: boolean
  readonly say?: (line: string) => void
}

export interface UpgradesResult {
  readonly report: Report
  readonly generations: number
  /** Most processes of the program that were seen at one moment, the front not counted. */
  readonly mostAtOnce: number
  /** Of the serving process, at the second generation and at the last one, with nothing connected. */
  readonly descriptors: readonly [first: number, last: number]
  /** With nothing under way: at the start and at the end. */
  readonly processes: readonly [first: number, last: number]
  readonly cut: number
  readonly finished: number
}

/** Upgrades a standalone program again and again under the strict load, each time with its file replaced. */
export async function inPlaceUpgrades(scenario: UpgradesScenario): Promise<UpgradesResult> {
  const { say = () => {} } = scenario
  const program = await Standalone.start({ serve: { front: scenario.front ?? false, drainTimeoutMs: 20_000 } })
  const inFront = scenario.front === true ? 1 : 0
  let mostAtOnce = 0
  const watch = setInterval(() => {
    mostAtOnce = Math.max(mostAtOnce, program.pids().length - inFront)
  }, 20)
  try {
    const processesBefore = program.pids().length
    // The first generation has bound its socket itself, the second one has it as all others will.
    let current = await upgrade(program, 1)
    await alone(program, inFront)
    const descriptorsBefore = await fewestDescriptors(current)
    const load = startLoad({ host: '127.0.0.1', port: program.port, connections: scenario.connections, rate: scenario.rate, durationMs: 2 * 3_600_000 })
    await until('the load to run', () => load.counts().requests > scenario.rate)
    let [cut, finished] = [0, 0]
    for (let number = 2; number <= scenario.upgrades; number += 1) {
      const old = current
      current = await upgrade(program, number)
      const drained = await program.drained(old)
      await alone(program, inFront)
      cut += drained.cut
      finished += drained.finished
      say(`upgrade ${number} of ${scenario.upgrades}: drained in ${drained.milliseconds} ms (${drained.finished} finished, ${drained.cut} cut); ${load.counts().requests} requests, ${load.counts().failed} failed`)
    }
    const report = await load.stop()
    const { generation } = await program.self()
    return { report, generations: generation, mostAtOnce, descriptors: [descriptorsBefore, await fewestDescriptors(current)], processes: [processesBefore, program.pids().length], cut, finished }
  } finally {
    clearInterval(watch)
    await program.end()
  }
}

async function upgrade(program: Standalone, number: number): Promise<number> {
  program.write('release.txt', `r${number + 1}`)
  const done = await program.upgrade()
  if (!done.ok) throw new Error(`upgrade ${number} was refused: ${done.code}: ${done.reason}\n${done.lines.join('\n')}\n${program.log().slice(-2000)}`)
  return done.pid
}

/** Until the generation before has left. */
async function alone(program: Standalone, inFront: number): Promise<void> {
  await until('the old generation to be gone', async () => program.pids().length === 1 + inFront && (await program.describe()).leaving === null, 60_000)
}

/** Over a second: a connection of ours may be under way at any moment. */
async function fewestDescriptors(pid: number): Promise<number> {
  let fewest = Infinity
  for (let looks = 0; looks < 20; looks += 1) {
    fewest = Math.min(fewest, readdirSync(`/proc/${pid}/fd`).length)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return fewest
}
