import { soak } from './soak-run.ts'

// npm run soak [-- SWAPS]: descriptors, processes, memory and disk before and after many swaps.
const [swaps = '1000'] = process.argv.slice(2)
const result = await soak(Number(swaps), (line) => process.stderr.write(`${line}\n`))
process.stdout.write(`${JSON.stringify(result, null, 2)}\n`)
process.exitCode = result.problems.length === 0 ? 0 : 1
