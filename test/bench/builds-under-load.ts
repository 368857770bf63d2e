import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, copyFileSync, cpSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startLoad, type Report } from '../load/load.ts'
import { appsFolder } from '../load/make-release.ts'
import type { StaleReply } from '../load/stale.ts'
import { until } from '../support/deadline.ts'
import { firstRelease, stageRelease } from '../support/drop.ts'
import { GracerProcess } from '../support/gracer-process.ts'

export interface BuildsScenario {
  readonly rounds: number
  readonly workers: number
  readonly connections: number
  readonly rate: number
  /** Over the shipped defaults. */
  readonly config: Record<string, unknown>
  readonly say?: (line: string) => void
}

/** What became of the builds of one gracer. */
export interface BuildsResult {
  readonly kinds: Readonly<Record<string, number>>
  readonly report: Report
  readonly stale: readonly StaleReply[]
  readonly lost: number
  readonly violations: number
}

/** Older than this it is recognised as moved in (design: 250 ms). */
const oldEnoughMs = 300

/** Puts a build of that name before a running gracer; resolves with what is to be live then. */
type Kind = (gracer: GracerProcess, name: string) => Promise<string | void>

const appImport = `await import(${JSON.stringify(join(appsFolder, 'load-app.mjs'))})\n`

const aside = (gracer: GracerProcess, name: string): string => join(gracer.folder, 'staging', name)

async function move(from: string, to: string): Promise<void> {
  await until('the build to be old enough to be seen as moved in', () => Date.now() - statSync(from).birthtimeMs > oldEnoughMs)
  renameSync(from, to)
}

async function archive(gracer: GracerProcess, name: string, file: string, flags: string): Promise<string> {
  await stageRelease(gracer, name)
  execFileSync('tar', ['-C', join(gracer.folder, 'staging'), flags, aside(gracer, file), name])
  return aside(gracer, file)
}

/** Every way in which a build is dropped. `current` last: while it stands it alone decides. */
export const dropKinds: Readonly<Record<string, Kind>> = {
  'folder moved in': async (gracer, name) => move(await stageRelease(gracer, name), join(gracer.releases, name)),
  'folder and .ready': async (gracer, name) => {
    cpSync(await stageRelease(gracer, name), join(gracer.releases, name), { recursive: true })
    writeFileSync(join(gracer.releases, `${name}.ready`), '')
  },
  'folder settled': async (gracer, name) => cpSync(await stageRelease(gracer, name), join(gracer.releases, name), { recursive: true }),
  '.tgz moved in, its .sha256 after it': async (gracer, name) => {
    const path = await archive(gracer, name, `${name}.tgz`, '-czf')
    writeFileSync(`${path}.sha256`, `${createHash('sha256').update(readFileSync(path)).digest('hex')}  ${name}.tgz\n`)
    await move(path, join(gracer.releases, `${name}.tgz`))
    renameSync(`${path}.sha256`, join(gracer.releases, `${name}.tgz.sha256`))
  },
  '.tar.gz and .ready': async (gracer, name) => {
    copyFileSync(await archive(gracer, name, `${name}.tar.gz`, '-czf'), join(gracer.releases, `${name}.tar.gz`))
    writeFileSync(join(gracer.releases, `${name}.tar.gz.ready`), '')
  },
  '.tar settled': async (gracer, name) => copyFileSync(await archive(gracer, name, `${name}.tar`, '-cf'), join(gracer.releases, `${name}.tar`)),
  'single script': async (gracer, name) => {
    writeFileSync(aside(gracer, `${name}.mjs`), appImport)
    await move(aside(gracer, `${name}.mjs`), join(gracer.releases, `${name}.mjs`))
  },
  executable: async (gracer, name) => {
    const folder = await stageRelease(gracer, name)
    writeFileSync(aside(gracer, `${name}-program`), `#!/bin/sh\ncd ${folder} && exec node server.mjs\n`)
    chmodSync(aside(gracer, `${name}-program`), 0o755)
    await move(aside(gracer, `${name}-program`), join(gracer.releases, `${name}-program`))
    return `${name}-program`
  },
  '`current` moved': async (gracer, name) => {
    symlinkSync(await stageRelease(gracer, name), aside(gracer, 'current'))
    renameSync(aside(gracer, 'current'), join(gracer.releases, 'current'))
  },
}

/** What is done to one path that is watched: a file or a folder, `server.mjs` in it. */
const watchedKinds: Readonly<Record<'file' | 'folder', Readonly<Record<string, Kind>>>> = {
  file: {
    '--watch file, renamed into place': async (gracer, name) => {
      writeFileSync(aside(gracer, 'next.mjs'), `${appImport}// ${name}\n`)
      renameSync(aside(gracer, 'next.mjs'), join(gracer.folder, 'server.mjs'))
    },
    '--watch file, written over': async (gracer, name) => writeFileSync(join(gracer.folder, 'server.mjs'), `${appImport}// ${name}\n`),
  },
  folder: {
    '--watch folder, replaced': async (gracer, name) => {
      const next = watchedFolder(aside(gracer, `app-${name}`), name)
      renameSync(join(gracer.folder, 'app'), aside(gracer, `old-${name}`))
      renameSync(next, join(gracer.folder, 'app'))
    },
    '--watch folder, a file deep in it': async (gracer, name) => writeFileSync(join(gracer.folder, 'app', 'lib', 'deep', 'version.txt'), name),
  },
}

function watchedFolder(path: string, name: string): string {
  mkdirSync(join(path, 'lib', 'deep'), { recursive: true })
  writeFileSync(join(path, 'server.mjs'), appImport)
  writeFileSync(join(path, 'lib', 'deep', 'version.txt'), name)
  return path
}

/** Swaps every kind of build that can be dropped, `rounds` times each, under the strict load. */
export async function dropsUnderLoad(scenario: BuildsScenario): Promise<BuildsResult> {
  const gracer = await GracerProcess.startWith({ workers: scenario.workers, config: scenario.config }, (one) => firstRelease(one, 'r0'))
  return underLoad(gracer, scenario, dropKinds, () => rmSync(join(gracer.releases, 'current')))
}

/** The same for a file or folder that is replaced in place. */
export async function watchedUnderLoad(scenario: BuildsScenario, what: 'file' | 'folder'): Promise<BuildsResult> {
  const watch = what === 'file' ? 'server.mjs' : 'app'
  const gracer = await GracerProcess.create({ workers: scenario.workers, config: { ...scenario.config, releases: null, watch, command: ['node', 'server.mjs'] } })
  if (what === 'file') writeFileSync(join(gracer.folder, watch), appImport)
  else watchedFolder(join(gracer.folder, watch), 'r0')
  await gracer.up()
  await gracer.live('v1')
  let number = 1
  const numbered = Object.fromEntries(Object.entries(watchedKinds[what]).map(([kind, put]): [string, Kind] => [kind, async (one, name) => {
    await put(one, name)
    return `v${(number += 1)}`
  }]))
  return underLoad(gracer, scenario, numbered, () => {})
}

async function underLoad(gracer: GracerProcess, scenario: BuildsScenario, kinds: Readonly<Record<string, Kind>>, afterRound: () => void): Promise<BuildsResult> {
  const say = scenario.say ?? (() => {})
  try {
    const load = startLoad({ host: '127.0.0.1', port: gracer.port, connections: scenario.connections, rate: scenario.rate, durationMs: 2 * 3_600_000 })
    await until('the load to run', () => load.counts().requests > scenario.rate)
    const swaps = new Map<string, number>()
    let number = 0
    for (let round = 1; round <= scenario.rounds; round += 1) {
      for (const [kind, put] of Object.entries(kinds)) {
        number += 1
        const live = (await put(gracer, `r${number}`)) ?? `r${number}`
        await gracer.live(live, true, 90_000)
        swaps.set(kind, (swaps.get(kind) ?? 0) + 1)
        say(`${kind}: ${live} confirmed; ${load.counts().requests} requests, ${load.counts().failed} failed`)
      }
      if (round < scenario.rounds) afterRound()
    }
    const report = await load.stop()
    if (report.endedBy !== 'stop') throw new Error(`the load ended by its ${report.endedBy}, before the last swap`)
    const { lost, violations } = await gracer.status()
    return { kinds: Object.fromEntries(swaps), report, stale: report.staleAfterFlip(), lost, violations }
  } finally {
    await gracer.end()
  }
}
