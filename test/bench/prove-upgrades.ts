import { inPlaceUpgrades } from './in-place-upgrades.ts'

/** `npm run prove -- upgrades [UPGRADES] [front]`: the standalone program, at full size. Resolves to the exit code. */
export async function proveUpgrades(args: readonly string[]): Promise<number> {
  const [count = '50', front] = args
  const upgrades = Number(count)
  const { report, ...rest } = await inPlaceUpgrades({ upgrades, connections: 240, rate: 600, front: front === 'front', say: (line) => process.stderr.write(`${line}\n`) })
  const { requests, failed, refused, longestGapMs, failures, releasesSeen } = report
  process.stdout.write(`${JSON.stringify({ upgrades, releases: releasesSeen.length, requests, failed, refused, longestGapMs, ...rest, failures }, null, 2)}\n`)
  const flat = rest.descriptors[1] <= rest.descriptors[0] && rest.processes[0] === rest.processes[1]
  return failed === 0 && rest.cut === 0 && rest.mostAtOnce <= 2 && rest.generations === upgrades + 1 && flat ? 0 : 1
}
