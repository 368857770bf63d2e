// Serves on PORT and forks itself; the fork and a worker thread listen on ports of their own and say what they see.
import { fork } from 'node:child_process'
import { readdirSync, readlinkSync } from 'node:fs'
import http from 'node:http'
import { Worker } from 'node:worker_threads'

const inside = `
  const http = require('node:http')
  const { parentPort } = require('node:worker_threads')
  const server = http.createServer().listen(0, '127.0.0.1', () => { parentPort.postMessage(server.address().port); server.close() })
`

function sockets() {
  return readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`)
    } catch {
      return ''
    }
  }).filter((target) => target.startsWith('socket:'))
}

if (process.send) {
  const before = sockets()
  const server = http.createServer().listen(0, '127.0.0.1', () => {
    process.send({ execArgv: process.execArgv, port: server.address().port, sockets: before, env: Object.keys(process.env).filter((name) => /^(LISTEN_|GRACER_)/.test(name)) })
    process.disconnect()
    server.close()
  })
} else {
  const own = sockets()
  const child = fork(process.argv[1])
  child.on('message', (seen) => {
    new Worker(inside, { eval: true }).on('message', (workerPort) => {
      http.createServer((request, response) => response.end(JSON.stringify({ own, seen, workerPort, pid: process.pid }))).listen(process.env.PORT)
    })
  })
}
