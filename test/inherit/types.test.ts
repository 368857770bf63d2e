import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { afterEach, expect, test } from 'vitest'

import { root } from '../support/gracer-process.ts'
import { cleanUp, temporaryFolder } from './support.ts'

afterEach(cleanUp)

/** What the pages of the docs show, under the strictest settings. */
const consumer = `
import http from 'node:http'
import https from 'node:https'
import { front, GracerError, serve, softDrain, upgradeHandler, UpgradeError, type DrainReport, type ListenerSpec, type Running, type ServeOptions, type UpgradeFailure } from 'gracer'

export async function main(): Promise<void> {
  const app: http.RequestListener = upgradeHandler({ token: process.env['UPGRADE_TOKEN'] })
  const options: ServeOptions = {
    port: process.env['PORT'] ?? 3000, host: process.env['HOST'], pidFile: process.env['PIDFILE'], signals: { SIGHUP: false },
    onDrain: async () => {}, onClose: (report: DrainReport) => report.cut,
  }
  await front(options)
  const running: Running = await serve(app, options)
  const web: Record<string, ListenerSpec> = { web: { handler: app, port: 1 }, secure: { server: https.createServer({}, app) } }
  await serve(web, { control: 'run/control.sock' })
  await serve((request, response) => response.end(request.url), { log: (line) => console.log(line.length) })
  // @ts-expect-error no such option
  await serve(app, { prot: 1 })
  // @ts-expect-error no such option of a listener
  await serve({ web: { handler: app, prot: 1 } })
  try {
    const { pid, generation }: { pid: number; generation: number } = await running.upgrade({ signal: AbortSignal.timeout(1) })
    console.log(pid, generation, running.addresses.get('web')?.port)
  } catch (error) {
    if (error instanceof UpgradeError) console.log(error.reason, error.lines[0]?.length, error.code satisfies string)
    if (error instanceof GracerError) console.log(error.exitCode, error.hint?.length)
  }
  const codes: UpgradeFailure[] = ['busy', 'spawn', 'exited', 'timeout', 'protocol', 'aborted']
  console.log(codes, await running.close(), softDrain.length)
}
`

test.each([
  ['nodenext, from ESM and CommonJS', { module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext }, ['app.mts', 'app.cts']],
  ['the old way of CommonJS', { module: ts.ModuleKind.CommonJS, moduleResolution: ts.ModuleResolutionKind.Node10, ignoreDeprecations: '6.0' }, ['app.ts']],
])('a strict TypeScript program finds the types: %s', (_, resolution, files) => {
  const folder = temporaryFolder()
  mkdirSync(join(folder, 'node_modules', '@types'), { recursive: true })
  symlinkSync(root, join(folder, 'node_modules', 'gracer'))
  symlinkSync(join(root, 'node_modules', '@types', 'node'), join(folder, 'node_modules', '@types', 'node'))
  for (const file of files) writeFileSync(join(folder, file), consumer)
  const program = ts.createProgram(files.map((file) => join(folder, file)), {
    ...resolution, target: ts.ScriptTarget.ES2022, noEmit: true, strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true,
    esModuleInterop: true, types: ['node'], typeRoots: [join(folder, 'node_modules', '@types')],
  })
  // Those of @types/node are not ours to find, and take ten times as long.
  const ours = program.getSourceFiles().filter(({ fileName }) => fileName.startsWith(folder) || fileName.includes('/dist/inherit/'))
  const found = ours.flatMap((file) => program.getSemanticDiagnostics(file))
  expect(ours.length).toBeGreaterThan(files.length)
  expect(found.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))).toEqual([])
}, 60_000)
