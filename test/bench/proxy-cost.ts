import { spawn, type ChildProcess } from 'node:child_process'
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { join } from 'node:path'
import { freePort } from '../../inherit/ephemeral-socket.ts'
import { cpuMs } from '../support/cpu.ts'
import { until } from '../support/deadline.ts'
import { GracerProcess, root } from '../support/gracer-process.ts'

export interface CostFigures {
  readonly requests: number
  /** CPU microseconds of the forwarding process for one GET of 100 bytes, ten browser-like fields, 64 keep-alive connections. */
  readonly gracerUs: readonly number[]
  readonly httpProxyUs: readonly number[]
  /** Round by round, gracer's by http-proxy's; the median. */
  readonly ratio: number
}

const connections = 64
const rounds = 5

/** What a forwarded request costs, against http-proxy with a keep-alive agent and none of the guards, in turn. */
export async function proxyCost(requests: number, say: (line: string) => void): Promise<CostFigures> {
  const gracer = await GracerProcess.startWith({}, async (one) => {
    const folder = join(one.releases, 'hello')
    mkdirSync(folder)
    copyFileSync(join(root, 'test', 'apps', 'bench-hello.mjs'), join(folder, 'server.mjs'))
    writeFileSync(`${folder}.ready`, '')
  })
  const upstream = (await gracer.status()).services[0]?.releases[0]?.port ?? 0
  const port = await freePort()
  const peer = spawn(process.execPath, [join(root, 'test', 'apps', 'bench-http-proxy.mjs'), String(port), String(upstream)], { stdio: 'ignore' })
  peer.on('error', () => {})
  try {
    await until('http-proxy to listen', () => get(port, new http.Agent()).then(() => true, () => false))
    const worker = (await gracer.status()).proxy.workers[0] ?? 0
    const gracerUs: number[] = []
    const httpProxyUs: number[] = []
    for (let round = 0; round <= rounds; round += 1) {
      const own = await cost(gracer.port, worker, requests)
      const other = await cost(port, pidOf(peer), requests)
      // The first round warms both up.
      if (round === 0) continue
      gracerUs.push(own)
      httpProxyUs.push(other)
      say(`round ${round}: gracer ${own.toFixed(1)} µs, http-proxy ${other.toFixed(1)} µs`)
    }
    const ratios = gracerUs.map((own, index) => own / (httpProxyUs[index] ?? NaN)).sort((a, b) => a - b)
    return { requests: requests * rounds, gracerUs, httpProxyUs, ratio: Math.round((ratios[Math.floor(rounds / 2)] ?? NaN) * 100) / 100 }
  } finally {
    peer.kill('SIGKILL')
    await gracer.end()
  }
}

/** CPU microseconds of this process for one request. */
export async function cost(port: number, pid: number, requests: number): Promise<number> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: connections })
  const before = cpuMs(pid)
  let left = requests
  await Promise.all(Array.from({ length: connections }, async () => {
    while (left > 0) {
      left -= 1
      await get(port, agent)
    }
  }))
  agent.destroy()
  return ((cpuMs(pid) - before) * 1000) / requests
}

const browserFields = {
  accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', 'accept-language': 'en-GB,en;q=0.5', 'accept-encoding': 'gzip, deflate',
  'user-agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0', cookie: 'session=0123456789abcdef0123456789abcdef; theme=dark',
  'upgrade-insecure-requests': '1', 'sec-fetch-dest': 'document', 'sec-fetch-mode': 'navigate', 'sec-fetch-site': 'none', referer: 'http://localhost/',
}

function get(port: number, agent: http.Agent): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = http.get({ host: '127.0.0.1', port, agent, headers: browserFields }, (response) => {
      response.resume()
      response.once('end', resolve)
    })
    request.on('error', reject)
  })
}

function pidOf(child: ChildProcess): number {
  return child.pid ?? 0
}
