import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { onTestFinished } from 'vitest'

const root = fileURLToPath(new URL('../../', import.meta.url))

/** Compiles proxy/ as it stands now into a folder from which its packages are found. The folder goes with the test. */
export function compileProxy(): string {
  const cache = join(root, 'node_modules', '.cache')
  mkdirSync(cache, { recursive: true })
  const out = mkdtempSync(join(cache, 'gracer-forward-'))
  onTestFinished(() => rmSync(out, { recursive: true, force: true }))
  writeFileSync(join(out, 'package.json'), '{"type":"module"}')
  for (const file of readdirSync(join(root, 'proxy'), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'))) {
    const { outputText } = ts.transpileModule(readFileSync(join(root, 'proxy', file), 'utf8'), {
      compilerOptions: { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true, rewriteRelativeImportExtensions: true },
    })
    const to = join(out, file.replace(/\.ts$/, '.js'))
    mkdirSync(dirname(to), { recursive: true })
    writeFileSync(to, outputText)
  }
  return out
}

/** A front in a process of its own; gives its port and what it wrote to stderr. */
export async function spawnFront(backendPort: number, nodeOptions: string): Promise<{ port: number; pid: number; stderr: () => string }> {
  const module = join(compileProxy(), 'forward', 'front.js')
  const child = spawn(process.execPath, [join(root, 'test/apps/forward-front.mjs'), module, String(backendPort)], {
    stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, NODE_OPTIONS: nodeOptions },
  })
  onTestFinished(() => { child.kill('SIGKILL') })
  let stderr = ''
  child.stderr.on('data', (chunk: Buffer) => { stderr += chunk.toString() })
  const [line] = await once(child.stdout, 'data') as [Buffer]
  return { port: Number(line.toString()), pid: child.pid ?? 0, stderr: () => stderr }
}
