import { Random, scheduleSeed } from '../random.ts'

/** In how many of so many runs a fixed threshold, 99% of success in each of 20 minutes, fails a service with 0.5% errors. */
export function uptimeRule(perMinute: number, runs: number, seed: number): number {
  let failed = 0
  for (let run = 0; run < runs; run += 1) {
    const random = new Random(scheduleSeed(seed, run))
    let bad = false
    for (let minute = 0; minute < 20 && !bad; minute += 1) {
      let errors = 0
      for (let request = 0; request < perMinute; request += 1) if (random.chance(0.005)) errors += 1
      bad = errors > perMinute * 0.01
    }
    if (bad) failed += 1
  }
  return failed
}
