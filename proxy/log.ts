import { pino, type Logger } from 'pino'

/** One event a line, as JSON, with a stable `event` name such as 'swap.flipped'. */
export interface Log {
  debug(event: string, fields?: LogFields, message?: string): void
  info(event: string, fields?: LogFields, message?: string): void
  warn(event: string, fields?: LogFields, message?: string): void
  error(event: string, fields?: LogFields, message?: string): void
}

export type LogFields = Readonly<Record<string, unknown>>
export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

const redacted = ['authorization', 'cookie', 'headers.authorization', 'headers.cookie', 'env']

/**
 * Appends to the log file of the state folder, which all processes of one gracer share (O_APPEND keeps their lines
 * whole). A full disk loses lines and nothing else.
 */
export function openLog(file: string, component: 'master' | 'worker' | 'agent', level: LogLevel): Log {
  const destination = pino.destination({ dest: file, append: true, sync: true, mode: 0o600 })
  // ENOSPC and its like: serving goes on, the lines are gone.
  destination.on('error', () => {})
  const logger = pino(
    { level, base: { component, pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }) }, redact: { paths: redacted, censor: '[redacted]' } },
    destination,
  )
  return wrap(logger)
}

function wrap(logger: Logger): Log {
  const at = (level: LogLevel) => (event: string, fields: LogFields = {}, message?: string): void => {
    try {
      logger[level]({ ...fields, event }, message)
    } catch {
      // A log that cannot be written must never end the process that serves.
    }
  }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

export const silentLog: Log = Object.freeze({ debug() {}, info() {}, warn() {}, error() {} })
