// The peer of `npm run bench -- proxy`: http-proxy as its README shows it, with a keep-alive agent, and nothing else.
import http from 'node:http'
import httpProxy from 'http-proxy'

const [port, upstream] = process.argv.slice(2)
const agent = new http.Agent({ keepAlive: true, maxSockets: 256 })
const proxy = httpProxy.createProxyServer({ target: `http://127.0.0.1:${upstream}`, agent })
proxy.on('error', (_error, _req, res) => res.destroy())
http.createServer((req, res) => proxy.web(req, res)).listen(Number(port), '127.0.0.1')
