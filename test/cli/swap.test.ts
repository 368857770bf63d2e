import { realpathSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { GracerError } from '../../inherit/gracer-error.ts'
import type { ControlEvent } from '../../agent/control/handlers.ts'
import type { Explanation, Outcome, Receipt, SwapRequest } from '../../agent/control/shapes.ts'
import { serve } from '../control/support.ts'
import { agentWith, explanation, gracer, outcome, progress, receipt, scratch, until } from './support.ts'

type Listener = (event: ControlEvent) => void

const whole = [progress('booting'), progress('checking'), progress('flipping'), progress('flipped'), progress('draining', { draining: 3 }), progress('drained'), outcome({ receipt })]

it('shows the phases on stderr and the outcome with its receipt on stdout, and exits 0', async () => {
  const { run } = await agentWith({ swap: (_service, _request, listener) => whole.forEach((event) => listener(event)) })
  const { code, stdout, stderr } = await run('swap').ended
  expect(code).toBe(0)
  expect(stderr.trim().split('\n').map((line) => line.split(' ')[0])).toEqual(['booting', 'checking', 'flipping', 'flipped', 'draining', 'drained'])
  expect(stderr).toContain('3 requests in flight')
  expect(stdout.split('\n')[0]).toBe('blue is live now: v2 is confirmed')
  expect(stdout).toContain('lost         0, violations: 0')
})

it('passes on what it was told, with a path made absolute and a name left as it is', async () => {
  const seen: [string, SwapRequest][] = []
  const { state } = await agentWith({ swap: (service, request, listener) => (seen.push([service, request]), listener(outcome())) })
  const cwd = realpathSync(scratch())
  const given = [['swap', './out'], ['swap', 'v2'], ['swap', '..'], ['swap', '/srv/x', '--timeout', '90s', '--supersede', '--dry-run', '--service', 'shop'], ['swap']]
  for (const args of given) expect((await gracer([...args, '--state', state], { cwd }).ended).code).toBe(0)
  expect(seen).toEqual([
    ['default', { target: join(cwd, 'out') }],
    ['default', { target: 'v2' }],
    ['default', { target: join(cwd, '..') }],
    ['shop', { target: '/srv/x', timeoutMs: 90_000, supersede: true, dryRun: true }],
    ['default', {}],
  ])
})

it('exits as the outcome says, and tells one that is not good on stderr, what is live first', async () => {
  const cases: [Outcome['outcome'], number][] = [['failed', 1], ['flipped-back', 1], ['superseded', 4], ['busy', 4], ['timed-out', 124], ['aborted', 130], ['dry-run', 0]]
  for (const [name, exitCode] of cases) {
    const { run } = await agentWith({ swap: (_service, _request, listener) => listener(outcome({ outcome: name, exitCode, live: 'green', message: 'because' })) })
    const { code, stdout, stderr } = await run('swap').ended
    expect([name, code]).toEqual([name, exitCode])
    expect((exitCode === 0 ? stdout : stderr).split('\n')[0]).toMatch(/^green is live now: .*because$/)
    expect(exitCode === 0 ? stderr : stdout).toBe('')
  }
})

it('says why a release failed: attempts, last reply, its last lines, elapsed against the deadline, what to do', async () => {
  const failure = {
    stage: 'health', message: 'never healthy', attempts: 12, lastStatus: 302, lastLocation: '/login', lastError: 'ECONNREFUSED', elapsedMs: 60_000, deadlineMs: 60_000,
    exit: { code: 1, signal: null }, lastLines: ['Error: no database', '\u001b[31mred\u001b[0m\u0007'], logFile: '/state/log/default.v2.log',
  } as const
  const { run } = await agentWith({ swap: (_service, _request, listener) => listener(outcome({ outcome: 'failed', exitCode: 1, live: null, message: 'never healthy', failure, hint: 'gracer logs v2' })) })
  const { code, stderr } = await run('swap').ended
  expect(code).toBe(1)
  expect(stderr).toBe(
    [
      'nothing is live now: v2 (blue) failed at its health check: never healthy',
      '  attempts    12',
      '  last reply  302, Location: /login',
      '  last error  ECONNREFUSED',
      '  exit        code 1',
      '  elapsed     1 m 00 s of 1 m 00 s',
      '  log         /state/log/default.v2.log',
      '  its last lines:',
      '    | Error: no database',
      '    | red',
      '  next  gracer logs v2',
      '',
    ].join('\n'),
  )
})

it('puts one document on stdout with --json, good or bad', async () => {
  for (const exitCode of [0, 1]) {
    const end = outcome({ exitCode, outcome: exitCode === 0 ? 'confirmed' : 'failed', receipt })
    const { run } = await agentWith({ swap: (_service, _request, listener) => [progress('booting'), end].forEach((event) => listener(event)) })
    const { code, stdout } = await run('swap', '--json').ended
    expect(code).toBe(exitCode)
    expect(JSON.parse(stdout)).toEqual(end)
  }
})

it('returns 0 as soon as the phase named by --until is reached', async () => {
  const cases: [string[], ControlEvent[], string][] = [
    [['--until', 'flip'], [progress('booting'), progress('flipped')], 'flipped'],
    [['--until', 'flip'], [progress('booting'), progress('draining')], 'draining'],
    [['--until', 'drained'], [progress('flipped'), progress('draining'), progress('drained')], 'drained'],
    [['--no-wait'], [progress('queued')], 'queued'],
  ]
  for (const [flags, events, phase] of cases) {
    // The order never ends: only the phase can end the command.
    const { run } = await agentWith({ swap: (_service, _request, listener) => events.forEach((event) => listener(event)) })
    const { code, stdout } = await run('swap', '--json', ...flags).ended
    expect([flags, code]).toEqual([flags, 0])
    expect(JSON.parse(stdout)).toMatchObject({ schema: 1, kind: 'phase', phase })
  }
})

it('does not take a flip for a confirmation, nor a failure before the phase for success', async () => {
  let listener: Listener = () => {}
  const { run } = await agentWith({
    swap: (_service, _request, given) => {
      listener = given
      listener(progress('flipped'))
      listener(progress('drained'))
    },
  })
  const command = run('swap', '--until', 'confirmed')
  await command.says('drained')
  expect(command.child.exitCode).toBe(null)
  listener(outcome({ outcome: 'flipped-back', exitCode: 1, live: 'green' }))
  expect((await command.ended).code).toBe(1)
  const failing = await agentWith({ swap: (_service, _request, given) => [progress('booting'), outcome({ outcome: 'failed', exitCode: 1 })].forEach((event) => given(event)) })
  expect((await failing.run('swap', '--until', 'flip').ended).code).toBe(1)
})

it('does not take the end of a release that failed for its flip', async () => {
  const events = [progress('checking'), progress('stopping'), progress('stopped'), outcome({ outcome: 'failed', exitCode: 1 })]
  const { run } = await agentWith({ swap: (_service, _request, listener) => events.forEach((event) => listener(event)) })
  for (const phase of ['flip', 'drained', 'confirmed']) expect([phase, (await run('swap', '--until', phase).ended).code]).toEqual([phase, 1])
})

it('undoes a swap on Ctrl-C before its flip, and exits 130', async () => {
  const undone: [string, string][] = []
  let listener: Listener = () => {}
  const { run } = await agentWith({
    swap: (_service, _request, given) => {
      listener = given
      listener(progress('checking'))
    },
    undo: (service, release) => {
      undone.push([service, release])
      const end = outcome({ outcome: 'aborted', exitCode: 130, live: 'green', message: 'undone' })
      listener(end)
      return end
    },
  })
  const command = run('swap', '--json')
  await command.says('checking')
  command.child.kill('SIGINT')
  const { code, stdout, stderr } = await command.ended
  expect(code).toBe(130)
  expect(undone).toEqual([['default', 'v2']])
  expect(stderr).toContain('interrupted: the swap is undone')
  expect(JSON.parse(stdout)).toMatchObject({ outcome: 'aborted', live: 'green' })
})

it('undoes it as soon as it is known, where Ctrl-C came before the first phase', async () => {
  let listener: Listener | null = null
  let undone = 0
  const { run } = await agentWith({
    swap: (_service, _request, given) => {
      listener = given
    },
    undo: () => {
      undone++
      return outcome({ outcome: 'aborted', exitCode: 130 })
    },
  })
  const command = run('swap')
  await until(() => listener !== null, 'the order')
  command.child.kill('SIGINT')
  // Nothing tells that the signal has arrived; the phases come until it has.
  await until(() => {
    listener?.(progress('booting'))
    return undone > 0
  }, 'the undo')
  expect((await command.ended).code).toBe(130)
  expect(undone).toBe(1)
})

it('lets the swap go on alone on Ctrl-C after the flip, says so, and exits 130', async () => {
  let undone = 0
  const { run } = await agentWith({
    swap: (_service, _request, listener) => [progress('booting'), progress('flipped'), progress('draining')].forEach((event) => listener(event)),
    undo: () => {
      undone++
      return outcome()
    },
  })
  const command = run('swap')
  await command.says('draining')
  command.child.kill('SIGINT')
  const { code, stderr } = await command.ended
  expect([code, undone]).toEqual([130, 0])
  expect(stderr).toContain('detached: v2 (blue) has flipped and goes on without this command')
})

it('lets it go on alone where the agent says that it is too late to undo', async () => {
  const { run } = await agentWith({
    swap: (_service, _request, listener) => listener(progress('flipping')),
    undo: () => {
      throw new GracerError('too late', { code: 'too-late', exitCode: 4 })
    },
  })
  const command = run('swap')
  await command.says('flipping')
  command.child.kill('SIGINT')
  const { code, stderr } = await command.ended
  expect(code).toBe(130)
  expect(stderr).toContain('detached')
})

it('leaves at once on a second Ctrl-C', async () => {
  const { run } = await agentWith({
    swap: (_service, _request, listener) => listener(progress('checking')),
    undo: () => new Promise(() => {}),
  })
  const command = run('swap')
  await command.says('checking')
  command.child.kill('SIGINT')
  await command.says('undoing')
  command.child.kill('SIGINT')
  expect((await command.ended).code).toBe(130)
})

it('exits as a refusal says, and puts it on stdout as a document with --json', async () => {
  const { run } = await agentWith({
    swap: () => {
      throw new GracerError('v3 is under way', { code: 'busy', exitCode: 4, hint: 'wait, or --supersede' })
    },
  })
  const { code, stdout, stderr } = await run('swap', '--json').ended
  expect(code).toBe(4)
  expect(stderr).toBe('gracer: v3 is under way\n  wait, or --supersede\n')
  expect(JSON.parse(stdout)).toEqual({ schema: 1, error: { code: 'busy', message: 'v3 is under way', hint: 'wait, or --supersede', exitCode: 4 } })
})

it('exits 3 where the agent vanishes in the middle and none comes after it', async () => {
  const { run, close } = await agentWith({ swap: (_service, _request, listener) => listener(progress('booting')) })
  const command = run('swap')
  await command.says('booting')
  await close()
  const { code, stderr } = await command.ended
  expect(code).toBe(3)
  expect(stderr).toContain('the agent went away before the outcome was known')
})

it('learns from the successor of an agent that vanished what became of the order', async () => {
  const cases: [Receipt['outcome'], 'swap' | 'rollback', number][] = [
    ['confirmed', 'swap', 0], ['failed', 'swap', 1], ['flipped-back', 'swap', 1], ['superseded', 'swap', 4], ['timed-out', 'swap', 124], ['rolled-back', 'swap', 1], ['rolled-back', 'rollback', 0],
  ]
  for (const [name, order, exitCode] of cases) {
    const begin = (listener: Listener): void => listener(progress('booting'))
    const { run, state, close } = await agentWith({ swap: (_service, _request, listener) => begin(listener), rollback: (_service, _release, listener) => begin(listener) })
    const command = run(order, '--json')
    await command.says('booting')
    await close()
    // The receipt of an earlier try, none, and at last that of this order.
    const receipts = [{ ...receipt, startedAt: '2000-01-01T00:00:00.000Z' }, null, { ...receipt, outcome: name, reason: 'undone after a crash', startedAt: '2100-01-01T00:00:00.000Z' }]
    const explain = (_service: string, release: string | null): Explanation => ({ ...explanation, release: release ?? 'none', receipt: receipts.shift() ?? null })
    await serve({ explain }, { socketPath: join(state, 'control.sock') })
    const { code, stdout } = await command.ended
    expect([name, order, code]).toEqual([name, order, exitCode])
    expect(receipts).toEqual([])
    expect(JSON.parse(stdout)).toMatchObject({ kind: 'outcome', outcome: name, exitCode, release: 'v2', live: 'blue', message: expect.stringContaining('undone after a crash') as string })
  }
})

it('passes on that the successor knows nothing of the order', async () => {
  const { run, state, close } = await agentWith({ swap: (_service, _request, listener) => listener(progress('queued')) })
  const command = run('swap')
  await command.says('queued')
  await close()
  const refuse = (): never => {
    throw new GracerError('there is no release v2', { code: 'no-such-release', exitCode: 2 })
  }
  await serve({ explain: refuse }, { socketPath: join(state, 'control.sock') })
  expect(await command.ended).toMatchObject({ code: 2, stderr: expect.stringContaining('there is no release v2') as string })
})

it('shows rollback and restart in the same way', async () => {
  const seen: unknown[] = []
  const { run } = await agentWith({
    rollback: (service, release, listener) => (seen.push([service, release]), [progress('booting'), outcome({ outcome: 'rolled-back', live: 'green' })].forEach((event) => listener(event))),
    restart: (service, listener) => (seen.push([service]), whole.forEach((event) => listener(event))),
  })
  expect(await run('rollback', 'v1').ended).toMatchObject({ code: 0, stdout: expect.stringContaining('green is live now') as string, stderr: expect.stringContaining('booting') as string })
  expect((await run('rollback').ended).code).toBe(0)
  expect(await run('restart').ended).toMatchObject({ code: 0, stdout: expect.stringContaining('blue is live now') as string })
  expect(seen).toEqual([['default', 'v1'], ['default', null], ['default']])
})
