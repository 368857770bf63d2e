import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { GracerError } from '../../inherit/gracer-error.ts'
import { inferCommand } from '../boot/infer-command.ts'
import { configName } from '../config/find-config.ts'
import { dockerfileCommand, dockerfileHealth, namedHealthPath, procfileCommand, starterConfig, type Findings } from '../config/starter.ts'
import type { CommonOptions } from './options.ts'
import { say, writeJson, writeText } from './output.ts'

export interface InitOptions extends CommonOptions {
  readonly force: boolean
}

/** `gracer init`: writes a commented gracer.json from what lies in this folder. Needs no agent, and starts nothing. */
export async function runInit(options: InitOptions): Promise<number> {
  const cwd = process.cwd()
  const file = resolve(cwd, options.config ?? configName)
  const found = lookAround(cwd)
  try {
    writeFileSync(file, starterConfig(found), { flag: options.force ? 'w' : 'wx', mode: 0o644 })
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') {
      throw new GracerError(`${file} exists and was left as it is`, { code: 'config-exists', exitCode: 2, cause, hint: 'Write it anew with --force, or another one with --config FILE.' })
    }
    throw new GracerError(`${file} cannot be written (${(cause as NodeJS.ErrnoException).code ?? 'unknown error'})`, { code: 'config-unwritable', exitCode: 2, cause, hint: 'Run it in a folder that you may write to, or name the file: --config FILE.' })
  }
  if (options.json) await writeJson({ schema: 1, file, command: found.command?.words ?? null, commandFrom: found.command?.from ?? null, healthPath: found.health?.path ?? null })
  else await writeText(`${file} is written${found.command === null ? '' : `; the app is started by "${found.command.words.join(' ')}", from ${found.command.from}`}`)
  if (found.command === null) say('what starts the app was not found: put "command" into it')
  if (ignoresNot(cwd)) say('.gracer/ holds state that does not belong into the repository: add it to .gitignore')
  say('next: gracer check, then gracer up')
  return 0
}

/** A Procfile and a Dockerfile say what runs in production; a start script often is for development. */
function lookAround(folder: string): Findings {
  const procfile = textOf(join(folder, 'Procfile'))
  const dockerfile = textOf(join(folder, 'Dockerfile'))
  const fromProcfile = procfile === null ? null : procfileCommand(procfile)
  const fromDockerfile = dockerfile === null ? null : dockerfileCommand(dockerfile)
  const command = fromProcfile !== null ? { words: fromProcfile, from: 'the Procfile' }
    : fromDockerfile !== null ? { words: fromDockerfile, from: "the Dockerfile's CMD" }
    : inferred(folder)
  const dockerHealth = dockerfile === null ? null : dockerfileHealth(dockerfile)
  const entry = command?.words.find((word) => /\.[cm]?[jt]s$/.test(word) && existsSync(join(folder, word)))
  const named = entry === undefined ? null : namedHealthPath(textOf(join(folder, entry)) ?? '')
  return {
    command,
    health: dockerHealth !== null ? { path: dockerHealth, from: "the Dockerfile's HEALTHCHECK" } : named !== null && entry !== undefined ? { path: named, from: entry } : null,
    envFile: existsSync(join(folder, '.env')),
    releases: statSync(join(folder, 'releases'), { throwIfNoEntry: false })?.isDirectory() === true,
  }
}

function inferred(folder: string): Findings['command'] {
  try {
    const { command, from } = inferCommand(folder)
    return { words: command, from }
  } catch (error) {
    if (error instanceof GracerError && error.code === 'no-command') return null
    throw error
  }
}

function textOf(file: string): string | null {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return null
  }
}

function ignoresNot(folder: string): boolean {
  const ignored = textOf(join(folder, '.gitignore'))
  return (ignored !== null || existsSync(join(folder, '.git'))) && !/^\/?\.gracer\/?$/m.test(ignored ?? '')
}
