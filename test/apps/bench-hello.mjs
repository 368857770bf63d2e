// A hello world of about a hundred bytes, behind both proxies of `npm run bench -- proxy`.
import http from 'node:http'

const body = 'x'.repeat(100)
http.createServer((req, res) => res.end(body)).listen(Number(process.env.PORT), '127.0.0.1')
