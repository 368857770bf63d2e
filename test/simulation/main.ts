import { addCounts, noCounts, type Counts } from './counts.ts'
import { production } from './parts.ts'
import { makePlan, type Plan } from './plan.ts'
import { scheduleSeed } from './random.ts'
import { runPlan } from './run.ts'
import { shrink } from './shrink.ts'
import { invariants, type Violation } from './violation.ts'

// simulate [--schedules N] [--seed S] [--replay SEED] [--verbose]: the swap under a simulated clock, network and disk.

interface Options {
  readonly schedules: number
  readonly seed: number
  readonly replay: number | null
  readonly verbose: boolean
}

const usage = 'usage: simulate [--schedules N] [--seed S] [--replay SEED] [--verbose]\n'

function readOptions(args: readonly string[]): Options | null {
  let options: Options = { schedules: 20_000, seed: 1, replay: null, verbose: false }
  for (let at = 0; at < args.length; at += 1) {
    const value = Number(args[at + 1])
    const name = args[at]
    if (name === '--verbose') {
      options = { ...options, verbose: true }
      continue
    }
    at += 1
    if (!Number.isSafeInteger(value) || value < 0) return null
    if (name === '--schedules') options = { ...options, schedules: value }
    else if (name === '--seed') options = { ...options, seed: value }
    else if (name === '--replay') options = { ...options, replay: value }
    else return null
  }
  return options
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

function explain(seed: number, violation: Violation): void {
  say(`seed ${seed} violates ${violation.invariant}: ${invariants[violation.invariant]}`)
  say(`  ${violation.what}`)
}

function shrunkTrace(plan: Plan, violation: Violation): void {
  const small = shrink(plan, production, violation)
  const trace: string[] = []
  runPlan(small.plan, production, trace)
  say(`shrunk from ${plan.actions.length} actions to ${small.plan.actions.length} (${small.steps} steps, ${small.runs} runs)`)
  say(JSON.stringify(small.plan))
  for (const line of trace) say(line)
}

function showCounts(counts: Counts): void {
  for (const [name, count] of Object.entries(counts) as [string, number][]) say(`${name.padEnd(16)} ${count}`)
}

function replay(seed: number, verbose: boolean): number {
  const trace: string[] = []
  const plan = makePlan(seed)
  const { violation, steps } = runPlan(plan, production, trace)
  if (verbose || violation === null) for (const line of trace) say(line)
  if (violation === null) {
    say(`seed ${seed}: every promise held in ${steps} steps`)
    return 0
  }
  explain(seed, violation)
  shrunkTrace(plan, violation)
  return 1
}

function simulate({ schedules, seed: base, verbose }: Options): number {
  const sum = noCounts()
  const begun = performance.now()
  let told = begun
  for (let index = 0; index < schedules; index += 1) {
    const seed = scheduleSeed(base, index)
    const { violation, counts } = runPlan(makePlan(seed))
    addCounts(sum, counts)
    if (violation !== null) {
      if (process.stderr.isTTY) process.stderr.write('\n')
      explain(seed, violation)
      say(`after ${index} schedules that held; see it with: npm run simulate -- --replay ${seed}`)
      if (verbose) shrunkTrace(makePlan(seed), violation)
      return 1
    }
    if (process.stderr.isTTY && performance.now() - told > 200) {
      told = performance.now()
      process.stderr.write(`\r${index + 1} of ${schedules} schedules, ${Math.round(((index + 1) * 1000) / (told - begun))} a second `)
    }
  }
  if (process.stderr.isTTY) process.stderr.write('\n')
  const seconds = (performance.now() - begun) / 1000
  say(`${schedules} schedules, base seed ${base}: every promise held (${seconds.toFixed(1)} s, ${Math.round(schedules / seconds)} a second)`)
  showCounts(sum)
  return 0
}

const options = readOptions(process.argv.slice(2))
if (options === null) {
  process.stderr.write(usage)
  process.exitCode = 2
} else process.exitCode = options.replay === null ? simulate(options) : replay(options.replay, options.verbose)
