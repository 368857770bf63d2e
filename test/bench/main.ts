import { accessCost } from './access-cost.ts'
import { canaryTable } from './canary.ts'
import { devReload } from './dev-reload.ts'
import { drainWays } from './drain.ts'
import { dropToReply } from './drop-to-reply.ts'
import { proxyCost } from './proxy-cost.ts'
import { servicesUnderLoad } from './services-under-load.ts'
import { upgradesUnderLoad } from './upgrades-under-load.ts'

// npm run bench [-- drop [RUNS] | dev [SAVES] | drain [SWAPS] | proxy [REQUESTS] | access [REQUESTS] | canary [RUNS] | upgrade [UPGRADES] | services [SWAPS]]: medians with their range; ratios and differences come from the same run.
const benches = {
  drop: (amount: string | undefined) => dropToReply(Number(amount ?? 15), say),
  canary: (amount: string | undefined) => canaryTable(Number(amount ?? 2_500), say),
  dev: (amount: string | undefined) => devReload(Number(amount ?? 20), say),
  drain: (amount: string | undefined) => drainWays(Number(amount ?? 12), say),
  proxy: (amount: string | undefined) => proxyCost(Number(amount ?? 20_000), say),
  access: (amount: string | undefined) => accessCost(Number(amount ?? 20_000), say),
  upgrade: async (amount: string | undefined) => {
    const { report, ...rest } = await upgradesUnderLoad({ upgrades: Number(amount ?? 20), workers: 2, connections: 240, rate: 400, config: { limits: { idle: '5s' } }, say })
    return { requests: report.requests, failed: report.failed, refused: report.refused, failures: report.failures, ...rest }
  },
  services: async (amount: string | undefined) => {
    const { reports, services, ...rest } = await servicesUnderLoad({ swaps: Number(amount ?? 20), workers: 2, connections: 60, rate: 150, seed: 1, say })
    const loads = Object.entries(reports).map(([name, { requests, failed, refused, failures }]) => ({ name, requests, failed, refused, failures }))
    return { loads, counted: services.map((one) => [one.name, one.releases.reduce((sum, release) => sum + release.requests, 0)]), ...rest }
  },
}

const [what = 'drop', amount] = process.argv.slice(2)
if (!Object.hasOwn(benches, what)) {
  process.stderr.write(`bench: expected ${Object.keys(benches).join(' or ')}, got ${JSON.stringify(what)}\n`)
  process.exit(2)
}
const result = await benches[what as keyof typeof benches](amount)
process.stdout.write(`${JSON.stringify(result, null, 2)}\n`)

function say(line: string): void {
  process.stderr.write(`${line}\n`)
}
