// A node:cluster program with two workers, each listening on PORT as cluster's documentation shows it.
import cluster from 'node:cluster'
import http from 'node:http'

if (cluster.isPrimary) {
  cluster.fork()
  cluster.fork()
} else {
  http.createServer((request, response) => {
    response.setHeader('connection', 'close')
    response.end(JSON.stringify({ pid: process.pid, primary: process.ppid }))
  }).listen(process.env.PORT)
}
