// The upgrade by HTTP: POST /graceful with the token. /sleep?seconds=N shows that requests in flight are finished.
// A parent with a constant pid stays in front, so that a supervisor can watch it; it is the parent of every generation.
//   curl -X POST -H "Authorization: Bearer $UPGRADE_TOKEN" http://127.0.0.1:3000/graceful
import { serve, upgradeHandler } from 'gracer'

const graceful = upgradeHandler({ token: process.env.UPGRADE_TOKEN })

function handler(request, response) {
  const { pathname, searchParams } = new URL(request.url, 'http://localhost')
  if (pathname === '/graceful') return graceful(request, response)
  const seconds = pathname === '/sleep' ? Math.min(Number(searchParams.get('seconds') ?? 1), 60) : 0
  setTimeout(() => response.end(`pid ${process.pid}\n`), seconds * 1000)
}

await serve(handler, { port: Number(process.env.PORT ?? 3000), front: true, drainTimeoutMs: 60_000 })
console.log(`route: pid ${process.pid}, parent ${process.ppid}`)
