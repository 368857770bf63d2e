// The load app as a program that upgrades itself. serve.json beside the script holds the options of serve();
// upgrade.txt there orders a misbehaviour of the next generation.
import { readFileSync, writeSync, closeSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { serve, notifier, upgradeHandler } from '../../dist/inherit/index.js'
import { folder, releaseName } from './load-contract.mjs'
import { createLoadServer } from './load-server.mjs'

const order = read('upgrade.txt')
const { keepWebSockets, ...options } = JSON.parse(read('serve.json') || '{}')
const notifyFd = Number(process.env.GRACER_NOTIFY_FD)
const say = (text) => writeSync(notifyFd, text)

switch (notifyFd > 0 ? order : '') {
  case 'crash':
    throw new Error('the database is not there')
  case 'exit-0':
    console.error('nothing to do')
    process.exit(0)
    break
  case 'hang':
    console.log('waiting for the database')
    setInterval(() => {}, 1000)
    await new Promise(() => {})
    break
  case 'nonsense':
    say('hello, is anybody there?\n')
    setInterval(() => {}, 1000)
    await new Promise(() => {})
    break
  case 'version':
    say('UPGRADE_PROTOCOL=99\nREADY=1\n')
    setInterval(() => {}, 1000)
    await new Promise(() => {})
    break
  case 'ready-then-die':
    say('UPGRADE_PROTOCOL=1\nREADY=1\n')
    console.log('I am fine')
    process.exit(1)
    break
  case 'ready-then-hang':
    say('UPGRADE_PROTOCOL=1\nREADY=1\n')
    for (;;);
  case 'mute':
    closeSync(notifyFd)
    setInterval(() => {}, 1000)
    await new Promise(() => {})
    break
  case 'slow':
    notifier.extendTimeout(20_000)
    await new Promise((resolve) => setTimeout(resolve, 1500))
}

const release = releaseName()
const { server, sockets, streams } = createLoadServer(release)
const own = server.listeners('request')[0]
server.removeAllListeners('request')
const graceful = upgradeHandler({ token: 'a-token-for-the-tests' })
server.on('request', (request, response) => {
  if (request.url === '/graceful') graceful(request, response)
  else if (request.url === '/self') response.end(JSON.stringify({ pid: process.pid, env: process.env, title: process.title, execArgv: process.execArgv, argv: process.argv, cwd: process.cwd(), generation: running.generation }))
  else if (request.url === '/title') {
    process.title = 'a title of its own'
    response.end()
  } else if (request.url === '/upgrade-itself') running.upgrade().then((done) => response.end(JSON.stringify(done)), (error) => response.end(JSON.stringify({ code: error.code, message: error.message })))
  else own(request, response)
})
const running = await serve(server, {
  ...options,
  onDrain: () => {
    if (!keepWebSockets) for (const socket of sockets.clients) socket.close(1001, 'going away')
    for (const stream of streams) stream.end()
  },
  onClose: (report) => writeFileSync(join(folder, `drained-${process.pid}.json`), JSON.stringify(report)),
})
if (notifyFd > 0 && order === 'serve-then-die') process.exit(7)
console.log(`release ${release}, pid ${process.pid}, listening on port ${running.address.port}`)

function read(name) {
  try {
    return readFileSync(join(folder, name), 'utf8').trim()
  } catch {
    return ''
  }
}
