// A second service of the same user asks for an upgrade, and says what came of it. The same with curl:
//   curl --unix-socket run/control.sock -X POST http://localhost/upgrade
import { request } from 'node:http'

function ask(method, path) {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath: process.argv[2] ?? 'run/control.sock', method, path }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk) => (text += chunk))
      response.on('end', () => resolve({ status: response.statusCode, ...JSON.parse(text) }))
    })
    asked.on('error', reject)
    asked.end()
  })
}

try {
  const { listeners } = await ask('GET', '/')
  for (const { addr, fd, filename } of listeners) console.log(JSON.stringify({ addr, fd, filename }))
  const { status, pid, reason, lines = [] } = await ask('POST', '/upgrade')
  console.log(status === 200 ? `ready: pid ${pid}` : `not upgraded: ${reason}\n${lines.join('\n')}`)
  process.exitCode = status === 200 ? 0 : 1
} catch (error) {
  console.log(`no answer: ${error.message}`)
  process.exitCode = 1
}
