import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { GracerError } from '../../inherit/gracer-error.ts'
import { usualFiles } from '../boot/infer-command.ts'

export interface DevCommand {
  readonly command: readonly string[]
  /** Variables that the script sets in front of its command. */
  readonly env: ReadonlyMap<string, string>
  /** Where it came from, for a person. */
  readonly from: string
}

/** These bring a browser's page up to date by themselves and want to hold the port: nothing of gracer's is of use to them. */
const ownReload = /^(?:vite(?:\s+(?:dev|serve))?(?:\s|$)|next\s+dev|nuxt\s+dev|nuxi\s+dev|astro\s+dev|webpack(?:-dev-server|\s+serve)|ng\s+serve|remix\s+vite:dev|react-router\s+dev|parcel\s|gatsby\s+develop|svelte-kit\s+dev|storybook\s+dev|expo\s+start)/
/** These end and start the program at each save, as gracer does. */
const restarters: readonly (readonly [RegExp, (rest: string) => string])[] = [
  [/^node\s+(?:--watch(?:-path=[^\s]+|-preserve-output)?\s+)+/, (rest) => `node ${rest}`],
  [/^tsx\s+watch\s+(?:--clear-screen=false\s+)?/, (rest) => `tsx ${rest}`],
  [/^(?:ts-node-dev|tsnd)\s+(?:--(?:respawn|transpile-only|poll|quiet)\s+)*/, (rest) => `ts-node ${rest}`],
  [/^bun\s+(?:--watch|--hot)\s+/, (rest) => `bun ${rest}`],
]

/**
 * What to run where no command was given: package.json's `dev`, `start` or `main`, else the usual names. A script that
 * watches by itself is run without its watcher.
 * @throws GracerError 'no-command', 'dev-server' (exit 2)
 */
export function inferDevCommand(folder: string): DevCommand {
  const scripts = readScripts(folder)
  let other: string | null = null
  for (const name of ['dev', 'start']) {
    const script = scripts.get(name)?.trim() ?? ''
    if (script === '') continue
    if (/^(?:npx\s+)?gracer\s+dev\b/.test(script)) continue
    const plain = script.replace(/^npx\s+(?:--yes\s+|-y\s+)?/, '')
    if (ownReload.test(plain)) {
      other = `"${name}": "${script}"`
      continue
    }
    return fromScript(name, script, plain, scripts)
  }
  const main = readPackage(folder)?.main
  if (typeof main === 'string' && existsSync(join(folder, main))) return { command: ['node', main], env: new Map(), from: 'main of package.json' }
  const found = usualFiles.find((name) => existsSync(join(folder, name)))
  if (found !== undefined) return { command: ['node', found], env: new Map(), from: found }
  if (other !== null) {
    throw new GracerError(`package.json has only ${other}, which reloads by itself and needs no gracer dev`, {
      code: 'dev-server', exitCode: 2, hint: 'Run it directly, or name the server that gracer is to run: gracer dev -- node server.js',
    })
  }
  throw new GracerError(`${folder} does not say what to run: no package.json with a dev or start script or main, and none of ${usualFiles.join(', ')}`, {
    code: 'no-command', exitCode: 2, hint: 'Say it: gracer dev -- node server.js',
  })
}

/** The program that a nodemon script runs; null: it is none. */
function behindNodemon(script: string): string | null {
  const words = script.match(/"[^"]*"|'[^']*'|[^\s]+/g) ?? []
  if (words.shift() !== 'nodemon') return null
  const withValue = new Set(['-w', '--watch', '-e', '--ext', '-i', '--ignore', '-d', '--delay', '-s', '--signal', '--config', '--cwd'])
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    if (word === '-x' || word === '--exec') {
      const exec = (words.shift() ?? '').replace(/^["']|["']$/g, '')
      // nodemon puts the script file behind it.
      const file = words.filter((one, at) => !one.startsWith('-') && !withValue.has(words[at - 1] ?? ''))
      return [exec, ...file].join(' ').trim()
    }
    if (withValue.has(word)) words.shift()
    else if (!word.startsWith('-')) return /\.[cm]?js$/.test(word) ? ['node', word, ...words].join(' ') : [word, ...words].join(' ')
  }
  return null
}

function fromScript(name: string, script: string, plain: string, scripts: ReadonlyMap<string, string>): DevCommand {
  const from = `"${name}" of package.json`
  const nodemon = behindNodemon(plain)
  if (nodemon !== null) return { ...split(nodemon), from: `${from} (\`${script}\`) without its own watcher` }
  for (const [pattern, rest] of restarters) {
    if (!pattern.test(plain)) continue
    const unwatched = rest(plain.replace(pattern, '').trim())
    return { ...split(unwatched), from: `${from} (\`${script}\`) without its own watcher` }
  }
  // npm would run these around it.
  const hooked = scripts.has(`pre${name}`) || scripts.has(`post${name}`)
  if (hooked) return { command: ['npm', 'run', '--silent', name], env: new Map(), from }
  return { ...split(plain), from: `${from}: ${script}` }
}

/** A script of plain words is run as it is, so that no shell and no npm stand in between; anything else by a shell. */
function split(script: string): { command: readonly string[]; env: ReadonlyMap<string, string> } {
  const words = script.split(/\s+/)
  const env = new Map<string, string>()
  while (/^(?:cross-env$|[A-Za-z_][A-Za-z0-9_]*=[\w./:,@-]*$)/.test(words[0] ?? '')) {
    const word = words.shift() ?? ''
    if (word !== 'cross-env') env.set(word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1))
  }
  if (words.length > 0 && words.every((word) => /^[\w./=@:,+-]+$/.test(word))) return { command: words, env }
  return { command: ['/bin/sh', '-c', script], env: new Map() }
}

function readScripts(folder: string): ReadonlyMap<string, string> {
  const scripts = readPackage(folder)?.scripts
  if (typeof scripts !== 'object' || scripts === null) return new Map()
  return new Map(Object.entries(scripts).filter((entry): entry is [string, string] => typeof entry[1] === 'string'))
}

function readPackage(folder: string): { readonly scripts?: unknown; readonly main?: unknown } | null {
  try {
    return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { readonly scripts?: unknown; readonly main?: unknown }
  } catch {
    return null
  }
}
