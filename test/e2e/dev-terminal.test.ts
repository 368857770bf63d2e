import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { freePort } from '../../inherit/ephemeral-socket.ts'
import { until } from '../support/deadline.ts'
import { oneFileApp } from '../support/dev-process.ts'
import { cliFile } from '../support/gracer-process.ts'

// script(1) of util-linux gives a command a terminal of its own; what is written to its input are the keys.
const script = '/usr/bin/script'

interface OnTerminal {
  readonly child: ChildProcess
  readonly folder: string
  readonly exited: Promise<number | null>
  screen(): string
  sees(text: string | RegExp): Promise<void>
  press(keys: string): void
}

/** `gracer dev` on a terminal; behind it `stty` shows how it leaves that. */
async function onTerminal(app: string): Promise<OnTerminal> {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'gracer-dev-tty-')))
  writeFileSync(join(folder, 'server.mjs'), app)
  const port = await freePort()
  const line = `"${process.execPath}" "${cliFile}" dev --no-color --listen ${port} -- node server.mjs; echo "[exit $?]"; stty -a | tr ';' '\\n' | grep -o -- '-\\?icanon'`
  const child = spawn(script, ['-qec', line, '/dev/null'], { cwd: folder, stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, TERM: 'xterm' } })
  let text = ''
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve))
  onTestFinished(async () => {
    child.stdin?.write('\u0003\u0003')
    const timer = setTimeout(() => child.kill('SIGKILL'), 10_000)
    await exited
    clearTimeout(timer)
    rmSync(folder, { recursive: true, force: true })
  }, 30_000)
  const terminal: OnTerminal = {
    child, folder, exited,
    screen: () => text,
    sees: async (wanted) => {
      await until(`the terminal to show ${String(wanted)}; it shows ${text}`, () => (typeof wanted === 'string' ? text.includes(wanted) : wanted.test(text)), 30_000)
    },
    press: (keys) => child.stdin?.write(keys),
  }
  await terminal.sees('serves')
  return terminal
}

describe.skipIf(!existsSync(script))('on a terminal', () => {
  test('it says where it is, tells each reload in a line, and takes keys', { timeout: 120_000 }, async () => {
    const terminal = await onTerminal(`console.log('app says hello')\n${oneFileApp('v1')}`)
    await terminal.sees(/gracer http:\/\/127\.0\.0\.1:\d+ {2}node server\.mjs/)
    await terminal.sees('r reload · o open in a browser')
    await terminal.sees('app says hello')
    writeFileSync(join(terminal.folder, 'server.mjs'), oneFileApp('v2'))
    await terminal.sees(/gracer reloaded {2}server\.mjs {2}boot \d+ ms · \d+ ms after the save/)
    // Of what it has printed before nothing is left: the new code has said nothing.
    terminal.press('l')
    await terminal.sees('the newest app has printed nothing')
    terminal.press('r')
    await terminal.sees(/gracer reloaded {2}by key {2}boot/)
    writeFileSync(join(terminal.folder, 'server.mjs'), 'const = 3')
    await terminal.sees(/gracer failed {2}server\.mjs/)
    await terminal.sees(/SyntaxError: Unexpected token '=' {2}server\.mjs:1/)
    // Lines are broken to the width of the terminal.
    await terminal.sees(/the\s+next\s+good\s+save\s+brings\s+the\s+app\s+back/)
    const before = terminal.screen().length
    terminal.press('h')
    await until('the help', () => terminal.screen().slice(before).includes('q quit'))
    terminal.press('q')
    await terminal.sees('[exit 0]')
    await terminal.exited
    // Lines, not single keys: as it was.
    expect(terminal.screen().trimEnd().endsWith('icanon') && !terminal.screen().trimEnd().endsWith('-icanon')).toBe(true)
  })

  test('Ctrl-C ends it, a second one at once, and the terminal is as it was', { timeout: 120_000 }, async () => {
    const terminal = await onTerminal(`process.on('SIGTERM', () => console.log('not yet'))\n${oneFileApp('v1')}`)
    terminal.press('\u0003')
    await terminal.sees('not yet')
    terminal.press('\u0003')
    await terminal.sees('[exit 130]')
    await terminal.exited
    expect(terminal.screen()).toMatch(/[^-]icanon\s*$/)
  })
})
