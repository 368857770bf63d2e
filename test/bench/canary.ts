import { climbs, climbScenarios } from '../simulation/canary/climb.ts'
import { detections, scenarios, uncovered } from '../simulation/canary/scenarios.ts'
import { trials, type Trials } from '../simulation/canary/trials.ts'
import { uptimeRule } from '../simulation/canary/uptime-rule.ts'

const seed = 20_261_125
const users = 20_000
/** Without a rule so many runs show enough, and harmful canaries are alike. */
const fewer = 5

/** canary.md's table by simulation: false aborts with and without each rule, promotions, and detection times. */
export function canaryTable(runs: number, say: (line: string) => void): object {
  const few = Math.max(1, Math.round(runs / fewer))
  say(`healthy canaries, alpha 1%, up to ${users} users, ${runs} runs (without a rule, where it shows at once, ${few}), exact 99.9% limits each side`)
  const falseAborts = scenarios(users).map(({ name, world, judge, without }) => {
    const real = trials(world, judge, runs, seed)
    const broken = without === null ? null : { rule: without.rule, ...trials(world, without.judge, without.strong ? few : runs, seed) }
    say(`  ${name.padEnd(40)} ${rate(real)}${broken === null ? '' : `   ${broken.rule}: ${rate(broken)}`}`)
    return { name, real, without: broken }
  })
  say(`whole canaries, ${few} runs: the share is raised by the shipped reducer`)
  const whole = climbScenarios(users / 4).map((climb) => {
    const result = climbs(climb, few, seed)
    say(`  ${climb.name.padEnd(40)} aborted ${percent(result.aborted, few)}, promoted ${percent(result.promoted, few)}, open ${percent(result.open, few)}`)
    return { name: climb.name, ...result }
  })
  say(`outside the hypothesis, ${few} runs`)
  const outside = uncovered(users).map(({ name, world, judge }) => {
    const result = trials(world, judge, few, seed)
    say(`  ${name.padEnd(56)} ${rate(result)}`)
    return { name, ...result }
  })
  say(`harmful canaries, ${few} runs; users of both arms and of the canary, median and nine in ten`)
  const detected = detections().map(({ name, world, judge }) => {
    const result = trials(world, judge, few, seed)
    say(`  ${name.padEnd(56)} ${percent(result.aborted, few).padStart(7)}   ${spread(result.units)} users, ${spread(result.canaryUnits)} on the canary`)
    return { name, ...result }
  })
  say('"success of 99% in each minute" on a healthy service with 0.5% errors, 20 minutes')
  const uptime = [10, 100, 500].map((perMinute) => ({ perMinute, failed: uptimeRule(perMinute, few, seed) }))
  for (const { perMinute, failed } of uptime) say(`  ${String(perMinute).padStart(4)} requests a minute: fails in ${percent(failed, few)}`)
  return { runs, falseAborts, whole, outside, detected, uptime }
}

function rate(result: Trials): string {
  return `${percent(result.aborted, result.runs).padStart(7)} [${(result.low * 100).toFixed(2)}, ${(result.high * 100).toFixed(2)}]`
}

function percent(count: number, of: number): string {
  return `${((100 * count) / of).toFixed(2)}%`
}

function spread(values: { readonly median: number; readonly most: number } | null): string {
  return values === null ? '-' : `${values.median} (${values.most})`
}
