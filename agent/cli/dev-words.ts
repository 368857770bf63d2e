import type { DevFlags } from './dev.ts'

/**
 * Reads the words behind `gracer dev` where they are plain, so that the app can be started before the parser of the whole
 * command line is even loaded. null: something in them is for that parser to judge. What is read is read as it would; a test
 * compares the two.
 */
export function plainDevFlags(words: readonly string[]): DevFlags | null {
  const end = words.indexOf('--')
  const own = end === -1 ? words : words.slice(0, end)
  const given = new Set<string>()
  const values = new Map<string, string[]>()
  for (let at = 0; at < own.length; at += 1) {
    const word = own[at] as string
    if (flags.has(word)) {
      given.add(word)
      continue
    }
    const value = own[(at += 1)]
    if (!withValue.has(word) || value === undefined || value === '' || value.startsWith('-')) return null
    values.set(word, [...(values.get(word) ?? []), value])
  }
  const last = (name: string): string | undefined => values.get(name)?.at(-1)
  const config = last('--config')
  const listen = last('--listen')
  const service = last('--service')
  return {
    ...(config === undefined ? {} : { config }), ...(service === undefined ? {} : { service }), ...(listen === undefined ? {} : { listen }),
    command: end === -1 ? [] : words.slice(end + 1), watch: values.get('--watch') ?? [], ignore: values.get('--ignore') ?? [],
    build: last('--build') ?? null, buildTimeoutMs: buildTimeoutDefault.ms, keepOld: given.has('--keep-old'), inject: !given.has('--no-inject'),
    overlap: !given.has('--no-overlap'), poll: given.has('--poll'), inspect: null, json: given.has('--json'), color: !given.has('--no-color'),
  }
}

export const buildTimeoutDefault = { ms: 300_000, text: '5m' } as const

const flags: ReadonlySet<string> = new Set(['--json', '--no-color', '--keep-old', '--no-inject', '--no-overlap', '--poll'])
const withValue: ReadonlySet<string> = new Set(['--config', '--state', '--service', '--listen', '--watch', '--ignore', '--build'])
