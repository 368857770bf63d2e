import { dropToReply } from './drop-to-reply.ts'
import { proxyCost } from './proxy-cost.ts'

// npm run bench [-- drop [RUNS] | proxy [REQUESTS]]: medians with their range; ratios and differences come from the same run.
const benches = {
  drop: (amount: string | undefined) => dropToReply(Number(amount ?? 15), say),
  proxy: (amount: string | undefined) => proxyCost(Number(amount ?? 20_000), say),
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
