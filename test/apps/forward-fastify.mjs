// A Fastify app on a free port, with the same paths as forward-express.mjs. Prints its port.
import fastify from 'fastify'

const app = fastify({ trustProxy: '127.0.0.1', bodyLimit: 5_000_000, forceCloseConnections: true })
app.post('/json', (req) => ({ got: req.body, ip: req.ip, host: req.hostname, protocol: req.protocol }))
app.get('/cookies', (req, reply) => reply.header('Set-Cookie', ['a=1; Path=/', 'b=2; Path=/; HttpOnly']).send('two'))
app.get('/moved', (req, reply) => reply.redirect('/elsewhere?x=1', 302))
app.get('/etag', (req, reply) => (req.headers['if-none-match'] === '"1"' ? reply.code(304).send() : reply.header('ETag', '"1"').send('the same every time')))
app.get('/events', (req, reply) => {
  reply.hijack()
  reply.raw.writeHead(200, { 'Content-Type': 'text/event-stream' })
  reply.raw.write('data: 1\n\n')
  req.raw.on('close', () => process.stdout.write('events closed\n'))
})
await app.listen({ host: '127.0.0.1', port: 0 })
process.stdout.write(`port ${app.server.address().port}\n`)
