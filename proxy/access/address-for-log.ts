import { isIP } from 'node:net'

/**
 * The client's address for a log. The peer that connected is believed only about the peer that connected to it, which is
 * what it put last into X-Forwarded-For: everything before that came from outside and may be a lie.
 */
export function addressForLog(peer: string, forwardedFor: string | null): string {
  if (forwardedFor === null) return peer
  const last = forwardedFor.slice(forwardedFor.lastIndexOf(',') + 1).trim()
  const bare = last.replace(/^\[(.*)\](?::\d+)?$/, '$1').replace(/^(\d+\.\d+\.\d+\.\d+):\d+$/, '$1')
  return isIP(bare) === 0 ? peer : bare
}
