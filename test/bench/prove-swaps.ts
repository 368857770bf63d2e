import { swapsUnderLoad } from './swaps-under-load.ts'

// The whole proof, at full size and with the shipped drain: node dist/test/bench/prove-swaps.js [SWAPS] [WORKERS] [BAKE]
const [each = '20', workers = '1', bake = '1s'] = process.argv.slice(2)
const result = await swapsUnderLoad({
  workers: Number(workers), drops: Number(each), swaps: Number(each), connections: 240, rate: 600, config: { bake },
  say: (line) => process.stderr.write(`${line}\n`),
})
const { report } = result
process.stdout.write(`${JSON.stringify({
  workers: Number(workers), releases: report.releasesSeen.length, requests: report.requests, failed: report.failed, stale: result.stale.length,
  receipts: result.receipts.length, lost: result.lost, violations: result.violations, failures: report.failures,
}, null, 2)}\n`)
process.exitCode = report.failed === 0 && result.stale.length === 0 && result.lost === 0 && result.violations === 0 ? 0 : 1
