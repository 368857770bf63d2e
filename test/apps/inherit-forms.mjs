// Calls listen() in the way that FORM names. Answers with its pid over whatever protocol the server speaks.
import http from 'node:http'
import http2 from 'node:http2'
import net from 'node:net'

const port = Number(process.env.PORT)
const answer = (request, response) => response.end(String(process.pid))
const plain = () => http.createServer(answer)
const up = () => console.log('listening called back')

const forms = {
  port: () => plain().listen(port),
  portCallback: () => plain().listen(port, up),
  portHost: () => plain().listen(port, '0.0.0.0', up),
  portHostBacklog: () => plain().listen(port, '127.0.0.1', 64, up),
  portBacklog: () => plain().listen(port, 64, up),
  text: () => plain().listen(String(port), up),
  options: () => plain().listen({ port, host: '127.0.0.1', backlog: 64 }, up),
  optionsText: () => plain().listen({ port: String(port), exclusive: true }, up),
  optionsSignal: () => {
    const controller = new AbortController()
    const server = plain().listen({ port, signal: controller.signal }, up)
    server.on('close', () => console.log('closed by signal'))
    process.on('SIGUSR2', () => controller.abort())
  },
  addressAtOnce: () => console.log(`address ${plain().listen(port).address().port}`),
  http2: () => http2.createServer(answer).listen(port, up),
  tcp: () => net.createServer((socket) => socket.on('error', () => {}).end(`HTTP/1.1 200 OK\r\ncontent-length: ${String(process.pid).length}\r\nconnection: close\r\n\r\n${process.pid}`)).listen(port, up),
  fixed: () => plain().listen(Number(process.env.FIXED_PORT), up),
  fixedThenPort: () => {
    plain().listen(Number(process.env.FIXED_PORT), () => {
      plain().on('error', (error) => console.log(`second listen: ${error.code}`)).listen(port, '127.0.0.1')
    })
  },
  two: () => {
    http.createServer((request, response) => response.end('admin')).listen(Number(process.env.FIXED_PORT), () => console.log('admin is up'))
    process.on('SIGUSR2', () => plain().listen(port))
  },
  others: () => {
    // None of these is the service; PORT comes last.
    const first = http.createServer((request, response) => response.end('any')).listen(0, '127.0.0.1', () => {
      const second = http.createServer((request, response) => response.end('unix')).listen(process.env.UNIX_PATH, () => {
        const third = http.createServer((request, response) => response.end('kept')).listen(Number(process.env.FIXED_PORT), '127.0.0.1', () => {
          plain().listen(port, () => console.log(`addresses ${JSON.stringify([first.address().port, second.address(), third.address().port])}`))
        })
      })
    })
  },
}
forms[process.env.FORM]()
