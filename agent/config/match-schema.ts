import { z } from 'zod'
import { parseHost } from '../../proxy/forward/host.ts'

const hostText = 'a host name such as "shop.example.org", or "*.example.org" for every name below it, without a port; or null for any'

/** `host` of a service: lower case and without a trailing dot from here on. */
export const hostPattern = z
  .string({ error: hostText })
  .transform((written, context) => {
    const host = parseHost(written.replace(/^\*\./, ''))
    const wild = written.startsWith('*.')
    // Below an address there is nothing.
    if (host !== null && host.port === '' && !(wild && /^(?:\[|[\d.]+$)/.test(host.name))) return wild ? `*.${host.name}` : host.name
    context.addIssue(hostText)
    return z.NEVER
  })
  .nullable()
  .meta({ description: 'The Host header it answers to; an exact name goes before "*.example.org". Without it: any host.' })
  .prefault(null)

const prefixText = 'a path that begins with "/", without "?", "#", "//", and segments "." and ".."'
// RFC 3986, 3.3 (pchar): what may stand in a segment.
const segments = /^(?:\/(?!\.{1,2}(?:\/|$))(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+)*\/?$/

/** `path` of a service: without a slash at its end from here on. */
export const pathPrefix = z
  .string({ error: prefixText })
  .regex(segments, { error: prefixText, abort: true })
  .min(1, { error: prefixText })
  .transform((written) => (written === '/' ? written : written.replace(/\/$/, '')))
  .meta({ description: 'It answers to this path and to what lies below it; the longest one wins. It is not taken off before forwarding.' })
  .prefault('/')
