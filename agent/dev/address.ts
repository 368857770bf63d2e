import { GracerError } from '../../inherit/gracer-error.ts'
import type { Front } from '../../proxy/forward/front.ts'

/** Resolves to the address for a browser. @throws GracerError 'port-taken' or 'bind-failed' */
export function listenOn(front: Front, listen: { readonly host: string; readonly port: number }): Promise<string> {
  return new Promise((resolve, reject) => {
    const failed = (cause: NodeJS.ErrnoException): void => {
      const taken = cause.code === 'EADDRINUSE'
      reject(new GracerError(taken ? `port ${listen.port} on ${listen.host} is taken` : `cannot listen on ${listen.host}:${listen.port} (${cause.code ?? cause.message})`, {
        code: taken ? 'port-taken' : 'bind-failed', exitCode: 2, cause,
        hint: `Stop what listens there ("ss -ltnp"), or choose another: gracer dev --listen ${listen.port === 8080 ? 8081 : 8080} …`,
      }))
    }
    front.server.once('error', failed)
    front.server.listen({ host: listen.host, port: listen.port, exclusive: true }, () => {
      front.server.off('error', failed)
      front.server.on('error', () => {})
      resolve(urlOf(front))
    })
  })
}

/** '' where it does not listen. */
export function urlOf(front: Front | null): string {
  const address = front?.server.address()
  if (address === null || address === undefined || typeof address === 'string') return ''
  const host = address.address === '0.0.0.0' || address.address === '::' ? 'localhost' : address.address.includes(':') ? `[${address.address}]` : address.address
  return `http://${host}:${address.port}`
}
