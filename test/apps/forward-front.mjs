// A front of its own process, all requests to one port. argv: the compiled front.js, the backend's port. Prints its port.
const [, , module, backend] = process.argv
const { createFront } = await import(module)
const visit = {
  release: 'v1', target: { release: 'v1', host: '127.0.0.1', port: Number(backend), healthy: true }, viaFallback: false, tableNumber: 1, kind: 'request', assigned: null,
  becomes() {}, onCut() {}, answered() {}, failed() {}, moved() {}, end() {},
}
const picker = { pick(request) { request.picked(visit); return { cancel() {} } } }
const front = createFront({ picker, serviceFor: () => 'default', trustProxy: false, log() {} })
front.server.listen(0, '127.0.0.1', () => process.stdout.write(`${front.server.address().port}\n`))
// The test goes away: so does this.
process.stdin.on('end', () => process.exit()).resume()
