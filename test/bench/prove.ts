import { proveBuilds } from './prove-builds.ts'
import { proveUpgrades } from './prove-upgrades.ts'

// npm run prove [-- builds [ROUNDS] [WORKERS] | canary … | upgrades [UPGRADES] [front]]: the proofs at full size.
const [what, ...rest] = process.argv.slice(2)
if (what === 'canary') await import('./prove-canary.ts')
else if (what === 'builds') process.exitCode = await proveBuilds(rest)
else if (what === 'upgrades') process.exitCode = await proveUpgrades(rest)
else await import('./prove-swaps.ts')
