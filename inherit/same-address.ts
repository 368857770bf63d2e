import net from 'node:net'

/**
 * Does a socket bound to `actual` serve what was asked for with `wanted`? Equal addresses do, however they are written,
 * and the wildcard :: does for 0.0.0.0 (systemd's `ListenStream=8080` is a dual-stack ::).
 * A wildcard does not stand for one address: who asked for loopback must not get a public socket.
 */
export function servesHost(actual: string, wanted: string): boolean {
  const a = canonical(actual)
  const w = canonical(wanted)
  return a === w || (a === '::' && w === '0.0.0.0')
}

/** One spelling for each address: the URL parser shortens IPv6 by RFC 5952; mapped IPv4 becomes IPv4. */
function canonical(host: string): string {
  if (!net.isIPv6(host) || host.includes('%')) return host.toLowerCase()
  const short = new URL(`http://[${host}]`).hostname.slice(1, -1)
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(short)
  if (mapped === null) return short
  const [high, low] = [parseInt(mapped[1] ?? '', 16), parseInt(mapped[2] ?? '', 16)]
  return [high >> 8, high & 255, low >> 8, low & 255].join('.')
}
