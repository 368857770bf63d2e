import { GracerError } from '../../inherit/gracer-error.ts'

/** What a connection of the load does all day. */
export type Kind =
  | 'keep-alive'
  | 'fresh'
  | 'post'
  | 'upload'
  | 'slow'
  | 'stream'
  | 'pipeline'
  | 'websocket'
  /** Server-sent events; only when asked for. */
  | 'events'
  /** Requests that the client itself breaks off; only when asked for. */
  | 'abort'
  /** GETs of one path of an app that does not know the contract; only with `plainPath`. */
  | 'plain'

/** A ledger's kinds: a WebSocket's handshake is a request of kind 'websocket', its messages and its life are apart. */
export type EntryKind = Kind | 'websocket-message' | 'websocket-session'

/** Share of the connections, in parts. */
const weights: Readonly<Record<Kind, number>> = {
  'keep-alive': 7, fresh: 3, post: 4, upload: 4, slow: 3, stream: 3, pipeline: 3, websocket: 3, events: 2, abort: 2, plain: 1,
}

export const allKinds = Object.keys(weights) as readonly Kind[]
export const entryKinds: readonly EntryKind[] = [...allKinds, 'websocket-message', 'websocket-session']
export const defaultKinds: readonly Kind[] = ['keep-alive', 'fresh', 'post', 'upload', 'slow', 'stream', 'pipeline', 'websocket']

/** Divides the connections by weight; each kind gets at least one. Throws `load-kinds` when there are too few. */
export function shareOut(connections: number, kinds: readonly Kind[]): Map<Kind, number> {
  if (kinds.length === 0 || connections < kinds.length) {
    throw new GracerError(`${connections} connections cannot be shared by ${kinds.length} kinds`, {
      code: 'load-kinds', exitCode: 2, hint: 'Give at least one kind and at least one connection a kind.',
    })
  }
  const total = kinds.reduce((sum, kind) => sum + weights[kind], 0)
  const shares = new Map(kinds.map((kind) => [kind, Math.max(1, Math.floor((connections * weights[kind]) / total))]))
  // What rounding left over (or took too much, by the ones) goes to the largest share.
  const given = [...shares.values()].reduce((sum, n) => sum + n, 0)
  const [largest, size] = [...shares].reduce((a, b) => (b[1] > a[1] ? b : a))
  shares.set(largest, size + connections - given)
  return shares
}

/** Reads `a,b,c`. Throws `load-kinds` for a name that is none. */
export function parseKinds(text: string): Kind[] {
  return text.split(',').map((word) => {
    const kind = allKinds.find((name) => name === word.trim())
    if (kind !== undefined && kind !== 'plain') return kind
    throw new GracerError(`--kinds: '${word}' is not a kind`, {
      code: 'load-kinds', exitCode: 2, hint: `The kinds are ${allKinds.filter((name) => name !== 'plain').join(', ')}.`,
    })
  })
}
