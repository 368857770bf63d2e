import http from 'node:http'
import net from 'node:net'
import path from 'node:path'

import { GracerError } from '../gracer-error.ts'
import { readListenOptions, shown, type ListenOptions, type Place } from '../listen-options.ts'
import { controlName } from './mark.ts'

/** One of several listeners: where it listens, and what answers there. */
export interface ListenerSpec extends Omit<ListenOptions, 'name'> {
  readonly handler?: http.RequestListener | undefined
  /** Instead of a handler: a server of node:http, https, http2, tls or net that does not listen yet. */
  readonly server?: net.Server | undefined
}

/** A request handler, a server, or several listeners by name. */
export type ServeTarget = http.RequestListener | net.Server | Readonly<Record<string, ListenerSpec>>

/** Where a listener listens. */
export interface NamedSpec {
  readonly name: string
  /** False where the name is only ours, and any socket handed down will do. */
  readonly named: boolean
  readonly options: Place
}

const placeOptions = ['name', 'port', 'host', 'path', 'backlog'] as const
const specKeys: readonly string[] = ['handler', 'server', 'port', 'host', 'path', 'backlog']

/** The names and addresses of a target; throws GracerError 'serve-options'. */
export function specsOf(target: ServeTarget | undefined, options: ListenOptions): NamedSpec[] {
  if (target === undefined || typeof target === 'function' || target instanceof net.Server) {
    if (options.name !== undefined) checkName(options.name)
    const { name, ...place } = readListenOptions(options, 'serve')
    return [{ name: name ?? 'http', named: name !== undefined, options: absolute(place) }]
  }
  const entries = Object.entries(target)
  if (entries.length === 0) throw wrong('there is no listener in the object; give { NAME: { handler, port } }')
  const specs = entries.map(([name, spec]) => ({ name, named: true, options: placeOf(name, spec) }))
  const stray = placeOptions.find((option) => options[option] !== undefined)
  if (stray !== undefined) throw wrong(`the option "${stray}" is said of each listener where there are several by name: { NAME: { handler, ${stray === 'name' ? 'port' : stray} } }`)
  return specs
}

/** The servers of a target, in the same order; throws GracerError 'serve-options'. */
export function serversOf(target: ServeTarget): net.Server[] {
  if (typeof target === 'function') return [http.createServer(target)]
  if (target instanceof net.Server) return [idle(target, '')]
  const proto: unknown = typeof target === 'object' && target !== null ? Object.getPrototypeOf(target) : undefined
  if (proto !== Object.prototype && proto !== null) {
    const what = proto === undefined ? shown(target) : `an instance of ${(target as object).constructor.name}`
    throw wrong(`expected a request handler, a server, or listeners by name, not ${what}`, 'Of express it is the app itself, of koa app.callback(), of fastify app.server after "await app.ready()".')
  }
  const servers = Object.entries(target).map(([name, spec]) => serverOf(name, spec))
  if (new Set(servers).size < servers.length) throw wrong('two listeners have the same server; give each one of its own')
  return servers
}

function serverOf(name: string, spec: ListenerSpec): net.Server {
  checkSpec(name, spec)
  const { handler, server } = spec
  if (server !== undefined && handler !== undefined) throw wrong(`the listener "${name}" has a handler and a server; give one of them`)
  if (server instanceof net.Server) return idle(server, ` of "${name}"`)
  if (typeof handler === 'function') return http.createServer(handler)
  throw wrong(`the listener "${name}" needs a handler (a function) or a server`)
}

function idle(server: net.Server, whose: string): net.Server {
  if (server.listening) throw wrong(`the server${whose} listens already`, 'Take its listen() out: serve() makes it listen, on the socket that was handed down where there is one.')
  return server
}

function placeOf(name: string, spec: ListenerSpec): Place {
  checkName(name)
  checkSpec(name, spec)
  const unknown = Object.keys(spec).find((key) => !specKeys.includes(key))
  if (unknown !== undefined) throw wrong(`the listener "${name}" has no option "${unknown}"; there are ${specKeys.join(', ')}`)
  return absolute(readListenOptions({ ...spec, name: undefined }, 'serve', ` of the listener "${name}"`))
}

function checkSpec(name: string, spec: unknown): void {
  if (typeof spec !== 'object' || spec === null) throw wrong(`the listener "${name}" must be an object with a handler or a server and where it listens, not ${shown(spec)}`)
}

function absolute(place: Place): Place {
  return place.path === undefined ? place : { ...place, path: path.resolve(place.path) }
}

/** It goes into LISTEN_FDNAMES, which is divided by colons. */
function checkName(name: string): void {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name) && name !== controlName) return
  throw wrong(`${JSON.stringify(name)} cannot be the name of a listener: up to 64 letters, digits, ".", "_" and "-"${name === controlName ? ', and this one is taken' : ''}`)
}

function wrong(what: string, hint?: string): GracerError {
  return new GracerError(`serve: ${what}`, { code: 'serve-options', exitCode: 2, ...(hint === undefined ? {} : { hint }) })
}
