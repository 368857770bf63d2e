import { stallFirstWorker, swapsUnderLoad } from './swaps-under-load.ts'

// The whole proof, at full size and with the shipped drain: node dist/test/bench/prove-swaps.js [SWAPS] [WORKERS] [BAKE] [stall]

const [each = '20', workers = '1', bake = '1s', stall] = process.argv.slice(2)
const result = await swapsUnderLoad({
  workers: Number(workers), drops: Number(each), swaps: Number(each), connections: 240, rate: 600, config: { bake },
  env: stall === 'stall' ? stallFirstWorker : {},
  say: (line) => process.stderr.write(`${line}\n`),
})
const { report } = result
process.stdout.write(`${JSON.stringify({
  workers: Number(workers), releases: report.releasesSeen.length, requests: report.requests, failed: report.failed, stale: result.stale.length,
  receipts: result.receipts.length, lost: result.lost, violations: result.violations, workerCpuMs: result.workerCpuMs, longestParkMs: Math.max(...result.receipts.map((receipt) => receipt.longestParkMs)), failures: report.failures,
}, null, 2)}\n`)
process.exitCode = report.failed === 0 && report.releasesSeen.length === 2 * Number(each) + 1 && result.stale.length === 0 && result.lost === 0 && result.violations === 0 ? 0 : 1
