// An ordinary server of node:http. It knows nothing of gracer: it listens on PORT, says that it is well on /healthz,
// and goes when it gets SIGTERM. That is all a release needs.
import { createServer } from 'node:http'
import { basename } from 'node:path'

// Change this line in a copy of the folder, drop the copy beside the first one, and watch the page.
const version = 'version 1'

// gracer says which release this is; by itself it is called after its folder.
const release = process.env.GRACER_RELEASE ?? basename(import.meta.dirname)
const clocks = new Set()

const server = createServer((req, res) => {
  const { pathname } = new URL(req.url, 'http://localhost')
  if (pathname === '/') {
    res.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(page())
  } else if (pathname === '/healthz') {
    // Say here what "well" means for your app: the database answers, the cache is warm.
    res.writeHead(200, { 'content-type': 'text/plain' }).end('ok\n')
  } else if (pathname === '/clock') {
    // "close", because a connection that is kept after the clock's end would keep the server from ending as well.
    res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store', connection: 'close' })
    const tick = () => res.write(`data: ${new Date().toLocaleTimeString('en-GB')}, from ${release} (${version})\n\n`)
    tick()
    const timer = setInterval(tick, 1000)
    clocks.add(res)
    res.on('close', () => {
      clearInterval(timer)
      clocks.delete(res)
    })
  } else {
    res.writeHead(404, { 'content-type': 'text/plain' }).end('there is no such page\n')
  }
})

function page() {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>hello, ${text(version)}</title>
<style>body { font: 1.2rem/1.6 system-ui, sans-serif; margin: 10vh auto; max-width: 36rem; padding: 0 1rem }</style>
<h1>Hello from ${text(version)}</h1>
<p>This page came from release <strong>${text(release)}</strong>, process ${process.pid}.</p>
<p>The clock: <output id="clock">…</output></p>
<script>
  // A browser opens an event stream again by itself when it ends: after a swap it ticks on, from the new release.
  new EventSource('/clock').onmessage = (event) => { document.getElementById('clock').textContent = event.data }
</script>
</html>
`
}

function text(value) {
  return value.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`)
}

server.listen(process.env.PORT ?? 3000, () => {
  console.log(`hello: ${version}, release ${release}, on port ${server.address()?.port}`)
})

process.on('SIGTERM', () => {
  server.close(() => process.exit(0))
  // A clock never ends by itself, and close() waits for it.
  for (const clock of clocks) clock.end()
})
