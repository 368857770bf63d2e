import { parseArgs } from 'node:util'
import { GracerError } from '../../inherit/gracer-error.ts'
import { parseKinds } from './kinds.ts'
import type { LoadOptions } from './load.ts'

export const usage = `Usage: npm run load -- URL [options]        (or: node dist/test/load/main.js URL [options])

Loads an HTTP server on this machine the way a strict client sees it: nothing is tried again, every body is checked
byte for byte, and every request is in the ledger. Exits 1 when anything failed.

  URL                 http://127.0.0.1:PORT; loopback only (default http://127.0.0.1:8080)
  --plain PATH        for an app of your own: only GETs of PATH, checked for status, completeness and ETag
  --connections N     connections in total (default 240)
  --rate N            requests a second at most, over all connections (default 600)
  --duration D        how long, as 500ms, 10s or 2m (default 10s)
  --count N           stop after so many requests (default 1000000)
  --kinds A,B         keep-alive, fresh, post, upload, slow, stream, pipeline, websocket (these are the default),
                      events, abort
  --seed N            of the random sizes and pauses (default 1)
  --atomic            a reply from an earlier release, to a request sent after a full reply from a later one,
                      is a failure too (not for a run with a rollback or a canary in it)
  --json              the report as JSON on stdout
  --help

Without --plain the server must answer the paths of test/apps/load-app.mjs.
Exit codes: 0 nothing failed; 1 something did; 2 usage; 130 interrupted twice.
`

export interface CommandOptions {
  readonly load: LoadOptions
  readonly url: string
  readonly json: boolean
  readonly atomic: boolean
  readonly help: boolean
}

/** Reads the command line. Throws GracerError `load-usage`, `load-kinds` or `load-target`, all with exit code 2. */
export function readCommandLine(args: readonly string[]): CommandOptions {
  const { values, positionals } = parse(args)
  const url = positionals[0] ?? 'http://127.0.0.1:8080'
  if (positionals.length > 1) throw misuse(`one address, not ${positionals.length}`)
  return {
    url, json: values.json ?? false, atomic: values.atomic ?? false, help: values.help ?? false,
    load: {
      url,
      durationMs: values.duration === undefined ? 10_000 : duration(values.duration),
      maxRequests: whole('--count', values.count ?? '1000000'),
      ...(values.connections !== undefined && { connections: whole('--connections', values.connections) }),
      ...(values.rate !== undefined && { rate: whole('--rate', values.rate) }),
      ...(values.seed !== undefined && { seed: whole('--seed', values.seed) }),
      ...(values.kinds !== undefined && { kinds: parseKinds(values.kinds) }),
      ...(values.plain !== undefined && { plainPath: path(values.plain), kinds: ['plain'] }),
    },
  }
}

function parse(args: readonly string[]) {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean' } as const
  try {
    return parseArgs({
      args: [...args], allowPositionals: true, options: {
        plain: text, connections: text, rate: text, duration: text, count: text, kinds: text, seed: text,
        atomic: flag, json: flag, help: { ...flag, short: 'h' },
      },
    })
  } catch (error) {
    throw misuse(error instanceof Error ? error.message : String(error))
  }
}

function whole(option: string, text: string): number {
  const value = Number(text)
  if (/^[0-9]+$/.test(text) && value >= 1 && value <= 1e9) return value
  throw misuse(`${option} takes a whole number from 1 on, not '${text}'`)
}

function duration(text: string): number {
  const [, amount, unit] = /^([0-9]+(?:\.[0-9]+)?)(ms|s|m)$/.exec(text) ?? []
  const ms = Number(amount) * (unit === 'ms' ? 1 : unit === 's' ? 1000 : 60_000)
  if (ms > 0 && ms <= 24 * 3_600_000) return ms
  throw misuse(`--duration takes 500ms, 10s or 2m, at most a day, not '${text}'`)
}

function path(text: string): string {
  if (/^\/[\x21-\x7e]*$/.test(text)) return text
  throw misuse(`--plain takes a path such as /index.html, not '${text}'`)
}

function misuse(what: string): GracerError {
  return new GracerError(`load: ${what}`, { code: 'load-usage', exitCode: 2, hint: 'npm run load -- --help lists the options.' })
}
