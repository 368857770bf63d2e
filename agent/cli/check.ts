import { describeConfig } from '../config/describe.ts'
import type { ConfigLine } from '../config/describe.ts'
import { likelyMistakes } from '../config/likely-mistakes.ts'
import { loadConfig } from '../config/load.ts'
import { problemsOf } from '../config/problems.ts'
import { locateState } from '../state-folder.ts'
import type { StateLocation } from '../state-folder.ts'
import { palette } from './color.ts'
import type { CommonOptions } from './options.ts'
import { reportError, say, widthOf, writeData, writeJson } from './output.ts'

/** Prints the effective config with the origin of each value, and what is likely a mistake; or every error in it (exit 2). Needs no agent. */
export async function runCheck(options: CommonOptions): Promise<number> {
  const where = { state: options.state, config: options.config, cwd: process.cwd(), env: process.env }
  try {
    const config = loadConfig({ cwd: where.cwd, ...(options.config === undefined ? {} : { file: options.config }) })
    const values = describeConfig(config)
    const state = locateState(where, 'make')
    const warnings = likelyMistakes(config, process.env['PATH'])
    if (options.json) await writeJson({ schema: 1, file: config.file, state, values, warnings })
    else await writeData(checkText(config.file, state, values, options.color))
    if (!options.json) for (const { path, message } of warnings) say(`warning: ${path}: ${message}`)
    return 0
  } catch (error) {
    const problems = problemsOf(error)
    if (!options.json || problems.length === 0) return await reportError(error, options.json)
    await writeJson({ schema: 1, problems })
    return await reportError(error, false)
  }
}

const stateOrigins = { flag: '--state', environment: 'GRACER_STATE', config: 'beside the config', found: 'found', 'working folder': 'working folder' } as const

function checkText(file: string | null, state: StateLocation, values: readonly ConfigLine[], color: boolean): string {
  const colors = palette(color, process.stdout)
  const rows: readonly (readonly [string, string, string])[] = [
    ['config', file ?? 'none', file === null ? 'no gracer.json here or above' : ''],
    ['state', state.path, stateOrigins[state.origin]],
    ...values.map(({ key, value, origin }): [string, string, string] => [key, typeof value === 'string' ? value : JSON.stringify(value), origin]),
  ]
  const keyWidth = Math.max(...rows.map(([key]) => key.length))
  const valueWidth = Math.min(40, Math.max(...rows.map(([, value]) => value.length)))
  // A narrow terminal would break every line in the middle.
  if (keyWidth + valueWidth + 10 > widthOf(process.stdout)) return rows.map(([key, value, origin]) => `${key}\n  ${value}${origin === 'default' || origin === '' ? '' : `  (${origin})`}\n`).join('')
  return rows
    .map(([key, value, origin]) => `${key.padEnd(keyWidth)}  ${value.padEnd(valueWidth)}  ${origin === 'default' ? colors.dim(origin) : colors.strong(origin)}`.trimEnd() + '\n')
    .join('')
}
