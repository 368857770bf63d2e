import type { Failure } from '../control/shapes.ts'
import { portsOf, waitingConnections } from './port-owner.ts'

/** The process that was probed. */
export interface Probed {
  readonly pid: number
  readonly port: number
  readonly socket: 'inherit' | 'port'
}

/** What can be seen of a release that never answered well, and what would mend it: the end of a sentence, or ''. */
export function whyUnhealthy(probed: Probed, failure: Pick<Failure, 'lastStatus' | 'lastLocation'>): string {
  return failure.lastStatus === null ? whySilent(probed) : whyRefused(failure.lastStatus)
}

function whyRefused(status: number): string {
  if (status >= 300 && status < 400) {
    return '. Redirects are not followed: set health.path to one that answers by itself, or health.host and health.headers (such as X-Forwarded-Proto: https) to what the program expects of a visitor'
  }
  if (status === 404) return '. Set health.path to one that it serves'
  if (status === 401 || status === 403) return '. Set health.path to one that needs no login, or health.headers to what lets the probe in'
  return ''
}

function whySilent({ pid, port, socket }: Probed): string {
  const elsewhere = portsOf(pid).filter((other) => other !== port)
  if (elsewhere.length > 0) return `; it listens on port ${elsewhere.join(', ')} and not on the one given to it in PORT (${port})`
  const waiting = waitingConnections(port)
  if (socket === 'port') {
    if (waiting === null) return `; it does not listen on the port given to it in PORT (${port}), nor on any other`
    return waiting === 0 ? '; it accepts connections there and does not answer' : '; it listens there and accepts no connection: something keeps it busy'
  }
  if (waiting === 0) return '; it accepts connections on the socket passed to it and does not answer'
  return '; it has accepted no connection on the socket passed to it (descriptor 3, LISTEN_FDS), and listens nowhere else: it never called listen, or something keeps it busy'
}
