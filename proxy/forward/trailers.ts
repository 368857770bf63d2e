// Whatever frames, routes, authenticates or changes how the body is read, on either way.
const notInTrailers = /^(?:connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|expect|host|authorization|cookie|set-cookie|forwarded|x-real-ip|x-request-id|x-forwarded-.*|x-gracer-.*|gracer-.*|content-.*|cache-control|age|date|expires|location|range|max-forwards|pragma|retry-after|vary|www-authenticate|if-.*|.*_.*)$/i
const maxTrailers = 100

/**
 * The trailers that may be passed on: none that frames, routes, authenticates or changes how the body is read
 * (RFC 9110 6.5.1), and not more than 100.
 */
export function trailerFields(raw: readonly string[]): [string, string][] {
  const passed: [string, string][] = []
  for (let at = 0; at < raw.length && passed.length < maxTrailers; at += 2) {
    const name = raw[at] as string
    if (!notInTrailers.test(name)) passed.push([name, raw[at + 1] as string])
  }
  return passed
}
