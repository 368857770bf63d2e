// An Express app on a free port: the things that frameworks do with what a proxy passes on. Prints its port.
import express from 'express'

const app = express()
app.set('trust proxy', 'loopback')
app.post('/json', express.json({ limit: '5mb' }), (req, res) => res.json({ got: req.body, ip: req.ip, host: req.hostname, protocol: req.protocol }))
app.get('/cookies', (req, res) => res.cookie('a', '1').cookie('b', '2', { httpOnly: true }).send('two'))
app.get('/moved', (req, res) => res.redirect(302, '/elsewhere?x=1'))
app.get('/etag', (req, res) => res.send('the same every time'))
app.get('/events', (req, res) => {
  res.set('Content-Type', 'text/event-stream').flushHeaders()
  res.write('data: 1\n\n')
  req.on('close', () => process.stdout.write('events closed\n'))
})
const server = app.listen(0, '127.0.0.1', () => process.stdout.write(`port ${server.address().port}\n`))
