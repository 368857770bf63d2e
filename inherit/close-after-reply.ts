import type { ServerResponse } from 'node:http'

/**
 * Makes a reply whose head is not written yet say `Connection: close`, whatever the program says there itself: a reply
 * passed on from elsewhere often carries an explicit `keep-alive`. Asked at the moment of writing: where a later
 * request of the same connection waits (`isLast` is false), this reply must leave the connection open for it.
 */
export function closeAfterReply(response: ServerResponse, isLast: () => boolean): void {
  // Also reached by write() and end(): they write an implicit head through this method of the instance.
  const writeHead = response.writeHead.bind(response) as (...args: unknown[]) => ServerResponse
  response.writeHead = ((status: number, ...rest: unknown[]): ServerResponse => {
    if (!isLast()) return writeHead(status, ...rest)
    const message = typeof rest[0] === 'string' ? [rest[0]] : []
    return writeHead(status, ...message, ...headersWithClose(response, rest.find((value) => typeof value === 'object' && value !== null)))
  }) as typeof response.writeHead
}

function headersWithClose(response: ServerResponse, headers: unknown): unknown[] {
  if (headers === undefined) {
    response.setHeader('Connection', 'close')
    return []
  }
  if (!Array.isArray(headers)) {
    const others = Object.entries(headers as object).filter(([name]) => !isConnection(name))
    return [{ ...Object.fromEntries(others), Connection: 'close' }]
  }
  if (Array.isArray(headers[0])) {
    return [[...(headers as unknown[][]).filter((pair) => !isConnection(pair[0])), ['Connection', 'close']]]
  }
  const flat: unknown[] = []
  for (let i = 0; i < headers.length; i += 2) {
    if (!isConnection(headers[i])) flat.push(headers[i], headers[i + 1])
  }
  return [[...flat, 'Connection', 'close']]
}

function isConnection(name: unknown): boolean {
  return typeof name === 'string' && name.toLowerCase() === 'connection'
}
