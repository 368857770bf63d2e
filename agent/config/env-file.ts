import { readFileSync } from 'node:fs'
import { GracerError } from '../../inherit/gracer-error.ts'

export interface EnvFileProblem {
  readonly line: number
  readonly message: string
}

export interface EnvFileText {
  readonly values: ReadonlyMap<string, string>
  readonly problems: readonly EnvFileProblem[]
}

const escapes: ReadonlyMap<string, string> = new Map([['n', '\n'], ['r', '\r'], ['t', '\t'], ['"', '"'], ['\\', '\\'], ['$', '$']])

/**
 * Reads KEY=value lines: blank lines and comments (#) are skipped, `export ` may stand before the key, values may stand
 * in single quotes (taken as they are) or double quotes (\n \r \t \" \\ \$ are escapes). In both a value may span lines.
 * An unquoted value ends before " #". Nothing is expanded: $HOME stays $HOME. A key given twice takes the last value.
 */
export function parseEnvFile(text: string): EnvFileText {
  const values = new Map<string, string>()
  const problems: EnvFileProblem[] = []
  const lines = text.replace(/^\uFEFF/, '').split(/\r?\n/)
  for (let index = 0; index < lines.length; index++) {
    const line = lines[index] ?? ''
    if (/^\s*(?:#|$)/.test(line)) continue
    const match = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*=[ \t]*(.*)$/.exec(line)
    if (match === null) {
      // The line itself is not repeated: it may hold a secret.
      problems.push({ line: index + 1, message: line.includes('=') ? 'expected a key of letters, digits and _ before "="' : 'expected KEY=value, got no "="' })
      continue
    }
    const [, key = '', rest = ''] = match
    if (rest.includes('\0')) {
      problems.push({ line: index + 1, message: `the value of ${key} holds a NUL character` })
      continue
    }
    const quote = rest.charAt(0)
    if (quote !== '"' && quote !== "'") {
      values.set(key, rest.replace(/(?:^|\s+)#.*$/, '').trimEnd())
      continue
    }
    const quoted = readQuoted(lines, index, rest, quote)
    if ('message' in quoted) {
      problems.push({ line: index + 1, message: quoted.message })
      // A quote that never ends would take every later line with it: what follows is read as if it had ended here.
      continue
    }
    values.set(key, quoted.value)
    index = quoted.lastLine
  }
  return { values, problems }
}

type Quoted = { readonly value: string; readonly lastLine: number } | { readonly message: string }

function readQuoted(lines: readonly string[], first: number, rest: string, quote: string): Quoted {
  let value = ''
  let text = rest.slice(1)
  for (let lineIndex = first; ; ) {
    for (let at = 0; at < text.length; at++) {
      const char = text.charAt(at)
      if (char === quote) {
        if (!/^\s*(?:#.*)?$/.test(text.slice(at + 1))) return { message: `expected the end of the line after the closing ${quote}` }
        return { value, lastLine: lineIndex }
      }
      const escaped = quote === '"' && char === '\\' ? escapes.get(text.charAt(at + 1)) : undefined
      if (escaped !== undefined) at++
      value += escaped ?? char
    }
    lineIndex++
    const next = lines[lineIndex]
    if (next === undefined) return { message: `the ${quote} that opens here is never closed` }
    value += '\n'
    text = next
  }
}

/**
 * Reads and parses an env file; `path` is absolute.
 * @throws GracerError 'env-file-unreadable' or 'env-file-invalid' (exit 2), the latter with every bad line.
 */
export function readEnvFile(path: string): ReadonlyMap<string, string> {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? 'unknown error'
    throw new GracerError(`${path} cannot be read (${code})`, { code: 'env-file-unreadable', exitCode: 2, cause, hint: 'Mend the key envFile, or make the file.' })
  }
  const { values, problems } = parseEnvFile(text)
  if (problems.length > 0) {
    const list = problems.map(({ line, message }) => `${path}:${line}: ${message}`).join('\n')
    throw new GracerError(list, { code: 'env-file-invalid', exitCode: 2 })
  }
  return values
}
