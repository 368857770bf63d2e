import { spawn } from 'node:child_process'
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { adoptSocket, type BareSocket } from '../../inherit/bare-socket.ts'
import { GracerError } from '../../inherit/gracer-error.ts'
import { takeUpSockets } from '../../inherit/inherited-sockets.ts'
import { tellMainPid } from '../../inherit/upgrade/service-manager.ts'
import { openLog } from '../../proxy/log.ts'
import { readInstallation } from '../../proxy/master/installation.ts'
import { Master } from '../../proxy/master/master.ts'
import { inferCommand } from '../boot/infer-command.ts'
import { loadConfig, type ConfigOverrides } from '../config/load.ts'
import { frontSettings } from '../config/front-config.ts'
import type { Config } from '../config/types.ts'
import type { AgentStart } from '../start.ts'
import { locateState, openStateFolder } from '../state-folder.ts'
import { acquireLock } from '../state-lock.ts'
import { packageRoot } from '../version.ts'
import { say, writeJson } from './output.ts'

export interface UpOptions {
  readonly config?: string
  readonly state?: string
  readonly listen?: string
  readonly releases?: string
  readonly watch?: string
  readonly workers?: number
  readonly command: string[]
  readonly json: boolean
  readonly color: boolean
}

/** `gracer up`: this process becomes the master, in the foreground, until Ctrl-C, SIGTERM or `gracer down`. */
export async function runUp(options: UpOptions): Promise<number> {
  const cwd = process.cwd()
  const overrides: ConfigOverrides = {
    ...(options.listen === undefined ? {} : { listen: options.listen }),
    ...(options.releases === undefined ? {} : { releases: options.releases }),
    ...(options.watch === undefined ? {} : { watch: options.watch }),
    ...(options.workers === undefined ? {} : { workers: options.workers }),
    ...(options.command.length === 0 ? {} : { command: options.command }),
  }
  const config = loadConfig({ ...(options.config === undefined ? {} : { file: options.config }), cwd, overrides })
  checkDeployable(config)
  const { path } = locateState({ state: options.state, config: config.file ?? undefined, cwd, env: process.env }, 'make')
  const state = openStateFolder(path)
  const lock = acquireLock(state.lock)
  try {
    const log = openLog(state.logFile, 'master', config.log.level)
    const listen = { host: await literalHost(config.listen.host), port: config.listen.port }
    const start: AgentStart = { state: path, configFile: options.config ?? null, cwd, overrides, logLevel: config.log.level }
    const master = new Master({
      listen,
      passed: passedSocket(listen),
      workers: config.workers,
      installation: readInstallation(packageRoot()),
      front: frontSettings(config.front, state),
      agentArgs: [JSON.stringify(start)],
      tableFile: state.table,
      processFile: state.processes,
      logFile: state.logFile,
      logLevel: config.log.level,
      log,
      onListening: (address) => announce(options, path, address),
      onReady: () => {
        void tellMainPid(process.env['NOTIFY_SOCKET'], process.pid, process.env['PATH']).then((problem) => {
          if (problem !== undefined) log.warn('gracer.systemd-not-told', { error: problem })
        })
      },
    })
    process.title = 'gracer'
    const end = (): void => void master.stop()
    process.on('SIGINT', end)
    process.on('SIGTERM', end)
    process.on('SIGHUP', () => {})
    process.on('uncaughtException', (error) => log.error('master.uncaught', { error: error.message, stack: error.stack }))
    const code = await master.run()
    return code
  } catch (error) {
    throw hinted(error)
  } finally {
    lock.release()
  }
}

/** Without a folder for drops there must be something to run, and it is better said now than by the first boot. */
function checkDeployable(config: Config): void {
  for (const service of config.services) if (service.releases === null && service.watch == null && service.command === null) inferCommand(config.base)
}

async function literalHost(host: string): Promise<string> {
  if (isIP(host) !== 0) return host
  try {
    return (await lookup(host)).address
  } catch (cause) {
    throw new GracerError(`the listen address ${host} cannot be resolved`, { code: 'listen-host', exitCode: 2, cause, hint: 'Use an IP address, such as --listen 127.0.0.1:8080.' })
  }
}

/** A socket from systemd (or anybody who speaks its protocol), if it is the one that is to be listened on. */
function passedSocket(listen: { host: string; port: number }): BareSocket | null {
  const sockets = takeUpSockets()
  const found = sockets.take({ host: listen.host, port: listen.port })
  return found === undefined ? null : adoptSocket(found.fd, listen)
}

function announce(options: UpOptions, state: string, address: { host: string; port: number }): void {
  const host = address.host.includes(':') ? `[${address.host}]` : address.host
  const shown = address.host === '0.0.0.0' || address.host === '::' ? 'localhost' : host
  if (options.json) void writeJson({ schema: 1, event: 'listening', listen: `${host}:${address.port}`, state, pid: process.pid })
  else say(`gracer listens on http://${shown}:${address.port} (pid ${process.pid}, state in ${state})`)
  const console = join(dirname(fileURLToPath(import.meta.url)), 'console-main.js')
  const child = spawn(process.execPath, [console, state], { stdio: ['ignore', options.json ? 'ignore' : 'inherit', 'inherit'] })
  child.on('error', () => {})
  child.unref()
}

function hinted(error: unknown): unknown {
  if (!(error instanceof GracerError) || error.code !== 'port-taken') return error
  return new GracerError(error.message, { code: error.code, exitCode: 2, cause: error.cause, hint: 'Stop what listens there, or choose another: gracer up --listen 127.0.0.1:8081 (npm start -- --listen 127.0.0.1:8081).' })
}
