import { dropsUnderLoad, watchedUnderLoad, type BuildsResult } from './builds-under-load.ts'

/** npm run prove -- builds [ROUNDS] [WORKERS]: every kind of build, with the shipped settle and drain. Resolves with the exit code. */
export async function proveBuilds([rounds = '3', workers = '2']: readonly string[]): Promise<number> {
  const scenario = { rounds: Number(rounds), workers: Number(workers), connections: 240, rate: 400, config: { bake: '1s' }, say: (line: string) => process.stderr.write(`${line}\n`) }
  const results: readonly BuildsResult[] = [await dropsUnderLoad(scenario), await watchedUnderLoad(scenario, 'file'), await watchedUnderLoad(scenario, 'folder')]
  for (const { kinds, report, stale, lost, violations } of results) {
    process.stdout.write(`${JSON.stringify({ kinds, releases: report.releasesSeen.length, requests: report.requests, failed: report.failed, refused: report.refused, stale: stale.length, lost, violations, failures: report.failures }, null, 2)}\n`)
  }
  return results.every(nothingLost) ? 0 : 1
}

/** Every build was live, and nothing failed meanwhile. */
export function nothingLost({ kinds, report, stale, lost, violations }: BuildsResult): boolean {
  const swaps = Object.values(kinds).reduce((sum, one) => sum + one, 0)
  return report.failed === 0 && report.refused === 0 && report.releasesSeen.length === swaps + 1 && stale.length === 0 && lost === 0 && violations === 0
}
