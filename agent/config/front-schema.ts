import { z } from 'zod'
import { isLoopbackAddress } from '../metrics/listener.ts'
import { defaults } from './defaults.ts'
import { duration, group, noNul, pathText, text, whole, yesOrNo } from './kinds.ts'
import { parseSize } from './sizes.ts'
import { parseListen } from './units.ts'

/** Keys of the public port that are more than a word: the access log and the figures. */

export function size(description: string, least: number, most: number) {
  const expected = 'a size with its unit, such as "500KB", "64MiB" or "1GB"'
  return z
    .string({ error: expected })
    .transform((written, context) => {
      const bytes = parseSize(written)
      if (bytes !== undefined && bytes >= least && bytes <= most) return bytes
      context.addIssue(expected)
      return z.NEVER
    })
    .meta({ description, kind: 'size' })
}

const accessGroup = z.strictObject(
  {
    sample: z.number({ error: 'a share above 0, to 1' }).gt(0, { error: 'a share above 0, to 1' }).max(1, { error: 'a share above 0, to 1' }).meta({ description: 'The share of requests that get a line. A 5xx and what was lost always get one.' }).prefault(defaults.access.sample),
    query: yesOrNo('Whether queries are written; they may hold secrets.').prefault(defaults.access.query),
    file: text(`${pathText}, or null`, noNul, 'Where it is written, relative to this file; without it access.log in the state folder.').nullable().prefault(defaults.access.file),
    size: size('A larger file is moved aside.', 1_000, 2 ** 40).prefault(defaults.access.size),
    keep: whole(1, 100, 'So many files that were moved aside are kept.').prefault(defaults.access.keep),
  },
  { error: (issue) => (issue.code === 'invalid_type' ? 'true, false or an object, { "sample": 0.1 }' : undefined) },
)

const limits = {
  idle: duration('A keep-alive connection of a client without a request is closed after this.').prefault(defaults.limits.idle),
  head: duration('The head of a request must be there within this (408).', 1_000).prefault(defaults.limits.head),
  bodyStall: duration('A request of whose body nothing comes for so long is ended (408); null: never.').nullable().prefault(defaults.limits.bodyStall),
  bodyRate: size('So much a second a body must bring at least, on average over 30 seconds (408).', 1, 2 ** 40).nullable().prefault(defaults.limits.bodyRate),
  bodySize: size('The largest body of a request that is taken (413).', 1, 2 ** 50).nullable().prefault(defaults.limits.bodySize),
  readStall: duration('A client that takes nothing of its reply for so long is disconnected; null: never.').nullable().prefault(defaults.limits.readStall),
  firstByte: duration('A release must begin its reply within this (504); null: it may take as long as it takes.').nullable().prefault(defaults.limits.firstByte),
  connections: whole(1, 1_000_000, 'Clients connected at a time, over all workers; one more gets 503. Without it: what the limit of open files allows.').nullable().prefault(defaults.limits.connections),
}

export const limitsKey = group(limits, 'Limits of the public port. A reload takes them up.')

export const accessKey = z
  .union([z.boolean(), accessGroup], { error: 'true, false or an object such as { "sample": 0.1 } (with the keys sample, query, file, size, keep)' })
  .meta({ description: 'One line of JSON for every request: true, false, or how.' })
  .prefault(defaults.log.access)

/** What `true` stands for. */
export const accessDefaults = accessGroup.parse({})

const loopback = 'a loopback address such as "127.0.0.1:9464" (the figures are for programs on this machine; put a proxy in front of them for others)'

export const metricsKey = group(
  {
    listen: z
      .string({ error: loopback })
      .transform((written, context) => {
        const address = parseListen(written)
        if (address !== undefined && (address.host === 'localhost' || isLoopbackAddress(address.host))) return { ...address, host: address.host === 'localhost' ? '127.0.0.1' : address.host }
        context.addIssue(loopback)
        return z.NEVER
      })
      .nullable()
      .meta({ description: 'Where GET /metrics is answered with Prometheus text, besides the control socket.' })
      .prefault(defaults.metrics.listen),
  },
  'The figures for Prometheus.',
)
