// The far ends of a big transfer: a backend that swallows or makes bytes, and clients that send or read them.
// One line of JSON in on stdin starts a transfer, one line out on stdout says how it went.
import { createHash } from 'node:crypto'
import { createServer, request } from 'node:http'
import { createInterface } from 'node:readline'

const block = Buffer.alloc(65_536, 'gracer-bulk')

async function* blocks(bytes, pauseEvery) {
  for (let sent = 0; sent < bytes; sent += block.length) {
    if (pauseEvery > 0 && sent % pauseEvery === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    yield block
  }
}

async function digest(stream) {
  const hash = createHash('sha256')
  let bytes = 0
  for await (const chunk of stream) {
    hash.update(chunk)
    bytes += chunk.length
  }
  return { bytes, sha256: hash.digest('hex') }
}

async function write(stream, bytes, pauseEvery) {
  for await (const chunk of blocks(bytes, pauseEvery)) {
    if (!stream.write(chunk)) await new Promise((resolve) => stream.once('drain', resolve))
  }
  stream.end()
}

const server = createServer(async (req, res) => {
  if (req.method === 'POST') {
    res.end(JSON.stringify(await digest(req)))
  } else {
    const bytes = Number(new URL(req.url, 'http://x').searchParams.get('bytes'))
    await write(res, bytes, 0)
  }
})
server.listen(0, '127.0.0.1', () => process.stdout.write(`${JSON.stringify({ port: server.address().port })}\n`))

createInterface({ input: process.stdin }).on('line', async (line) => {
  const { port, upload, bytes, pauseEvery } = JSON.parse(line)
  const req = request({ port, host: '127.0.0.1', method: upload ? 'POST' : 'GET', path: `/?bytes=${bytes}` })
  const replied = new Promise((resolve, reject) => { req.on('response', resolve); req.on('error', reject) })
  if (upload) await write(req, bytes, pauseEvery)
  else req.end()
  const res = await replied
  if (upload) {
    let text = ''
    for await (const chunk of res) text += chunk
    process.stdout.write(`${text}\n`)
  } else {
    // A slow reader: pauses now and then.
    const hash = createHash('sha256')
    let read = 0
    for await (const chunk of res) {
      hash.update(chunk)
      if (pauseEvery > 0 && Math.floor((read + chunk.length) / pauseEvery) > Math.floor(read / pauseEvery)) await new Promise((resolve) => setTimeout(resolve, 5))
      read += chunk.length
    }
    process.stdout.write(`${JSON.stringify({ bytes: read, sha256: hash.digest('hex') })}\n`)
  }
})
