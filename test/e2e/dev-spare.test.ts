import { readFileSync } from 'node:fs'
import { afterEach, expect, test } from 'vitest'
import { until } from '../support/deadline.ts'
import { DevProcess } from '../support/dev-process.ts'

let dev: DevProcess | null = null

afterEach(async () => {
  await dev?.end()
  dev = null
})

/** Each reply says the version and the process that gave it. */
function app(version: string, load = `import http from 'node:http'`): string {
  return `${load}\nhttp.createServer((req, res) => res.end('${version} ' + process.pid + ' ' + (process.env.GRACER_SPARE ?? 'clean'))).listen(3000)\n`
}

/** The process in which Node waits for the next boot. */
function waiting(from: DevProcess): Promise<number> {
  return until('a process to wait for the next boot', () => from.processes().find((pid) => {
    try {
      return readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes('GRACER_SPARE=1') && !replied.has(pid)
    } catch {
      return false
    }
  }))
}

const replied = new Set<number>()

async function pidOf(from: DevProcess, version: string): Promise<number> {
  const { body } = await from.answers(version)
  const [, pid, spare] = body.split(' ')
  expect(spare).toBe('clean')
  replied.add(Number(pid))
  return Number(pid)
}

test('a save runs in a process in which Node has started before it, one after the other', async () => {
  dev = await DevProcess.start({ 'server.mjs': app('v1') }, ['--', 'node', 'server.mjs'])
  await pidOf(dev, 'v1')
  for (const version of ['v2', 'v3']) {
    const spare = await waiting(dev)
    dev.write('server.mjs', app(version))
    expect(await pidOf(dev, version)).toBe(spare)
  }
})

test('what Node has read before the save does not outlive it: a program that became another kind of module, or another command', async () => {
  dev = await DevProcess.start({ 'package.json': '{}', 'server.js': app('v1', `const http = require('node:http')`), 'gracer.json': '{"command": ["node", "server.js"]}' }, [])
  await pidOf(dev, 'v1')
  const first = await waiting(dev)
  dev.write('package.json', '{"type": "module"}')
  dev.write('server.js', app('v2'))
  expect(await pidOf(dev, 'v2')).not.toBe(first)
  const second = await waiting(dev)
  dev.write('other.js', app('v3'))
  dev.write('gracer.json', '{"command": ["node", "other.js"], "env": {"A": "1"}}')
  expect(await pidOf(dev, 'v3')).not.toBe(second)
  const left = dev
  await until('those that were not used to be gone', () => !left.processes().some((pid) => pid === first || pid === second))
})

test.each(['SIGINT', 'SIGKILL'] as const)('the end of gracer by %s leaves none that waits', async (signal) => {
  dev = await DevProcess.start({ 'server.mjs': app('v1') }, ['--', 'node', 'server.mjs'])
  await pidOf(dev, 'v1')
  const spare = await waiting(dev)
  const ended = dev
  ended.child.kill(signal)
  await ended.exited
  await until('nothing to run any more', () => !ended.processes().includes(spare))
})
