/** How a request ended, as its line in the access log says it. */
export type AccessEnd =
  /** The client has the whole reply. Said of gracer's own replies too, unless a release owed one. */
  | 'complete' | 'client-gone' | 'lost' | 'cut' | 'graceful'

/** One request, for its line. Milliseconds; bytes as they went over the connection to the release, heads included. */
export interface AccessRecord {
  readonly service: string
  /** 'v43'; null: none was picked, or none answered. */
  readonly release: string | null
  /** null: no reply was begun. */
  readonly status: number | null
  readonly method: string
  /** The target, with its query; null: it could not be read. */
  readonly target: string | null
  readonly host: string | null
  readonly client: string
  /** All that X-Forwarded-For of a trusted peer said, where it is more than the client. */
  readonly forwardedFor: string | null
  readonly requestId: string | null
  readonly bytesIn: number
  readonly bytesOut: number
  /** From the arrival to the pick: parked or held. null: no pick. */
  readonly waitMs: number | null
  /** From the pick to the head of the reply. */
  readonly firstByteMs: number | null
  /** From the pick until the release had sent all of it. */
  readonly upstreamMs: number | null
  readonly totalMs: number
  /** How often it was tried again. */
  readonly retry: number
  readonly upgraded: boolean
  readonly end: AccessEnd
  /** Of a reply that gracer wrote itself. */
  readonly code: string | null
}

const longestTarget = 1_024
const longestName = 255
/** Everything that may stand in a JSON string as it is, and does nothing to a terminal that shows it. */
const plain = /^[ !#-[\]-~\u00a0-\u2027\u202a-\ud7ff\ue000-\ufefe]*$/
const beyondJson = /[\u007f-\u009f\u2028\u2029\ufeff]/g

/**
 * The line of a request, with its line end: one JSON object, escaped so that nothing a client sends can begin a line or
 * speak to a terminal, and of bounded length. No header is in it but the request id, and no query unless asked for.
 */
export function accessLine(at: Date, record: AccessRecord, sample: number, withQuery: boolean): string {
  const { target } = record
  let line = `{"time":"${at.toISOString()}","service":${quoted(record.service)},"release":${quotedOrNull(record.release)},"status":${record.status},"end":"${record.end}"`
  line += `,"method":${quoted(capped(record.method, 32))},"path":${target === null ? 'null' : quoted(capped(withQuery ? target : withoutQuery(target), longestTarget))}`
  line += `,"host":${record.host === null ? 'null' : quoted(capped(record.host, longestName))},"client":${quoted(capped(record.client, longestName))}`
  if (record.forwardedFor !== null) line += `,"forwardedFor":${quoted(capped(record.forwardedFor, longestName))}`
  line += `,"requestId":${quotedOrNull(record.requestId)},"bytesIn":${record.bytesIn},"bytesOut":${record.bytesOut}`
  line += `,"waitMs":${ms(record.waitMs)},"firstByteMs":${ms(record.firstByteMs)},"upstreamMs":${ms(record.upstreamMs)},"totalMs":${ms(record.totalMs)}`
  line += `,"retry":${record.retry},"upgraded":${record.upgraded}`
  if (record.code !== null) line += `,"code":${quoted(record.code)}`
  return `${line},"sample":${sample}}\n`
}

/** What went wrong gets a line whatever the sample: a 5xx, and what was lost or cut. */
export function isTrouble({ status, end }: Pick<AccessRecord, 'status' | 'end'>): boolean {
  return end === 'lost' || end === 'cut' || (status !== null && status >= 500)
}

function quotedOrNull(text: string | null): string {
  return text === null ? 'null' : quoted(text)
}

function quoted(text: string): string {
  if (plain.test(text)) return `"${text}"`
  return JSON.stringify(text).replace(beyondJson, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

function capped(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most)}…`
}

function withoutQuery(target: string): string {
  const at = target.indexOf('?')
  return at === -1 ? target : target.slice(0, at)
}

function ms(value: number | null): string {
  return value === null ? 'null' : String(Math.round(value * 1_000) / 1_000)
}
