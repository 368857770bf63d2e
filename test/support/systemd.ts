import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { until } from './deadline.ts'

const systemd = ['/lib/systemd/systemd', '/usr/lib/systemd/systemd'].find((path) => existsSync(path))

/** Why no systemd of our own can be started here; null: one can. */
export function whyNoSystemd(): string | null {
  if (process.platform !== 'linux' || systemd === undefined) return 'there is no systemd here'
  if (process.getuid?.() !== 0) return 'only root can start a systemd in namespaces of its own'
  const tried = spawnSync('unshare', ['-m', '-p', '-u', '-i', '-C', '--fork', '--mount-proc', 'mount', '-t', 'tmpfs', 'tmpfs', '/run'], { stdio: 'ignore' })
  return tried.status === 0 ? null : 'this machine allows no namespaces'
}

/**
 * A real systemd as PID 1 of namespaces of its own, with no units but ours; the network is the machine's. Ended, with
 * all it started, by end().
 */
export class Systemd {
  readonly folder: string
  readonly #child: ChildProcess
  #init = 0

  private constructor(units: Readonly<Record<string, string>>) {
    // Not below /tmp, which a unit may have an own one of.
    this.folder = realpathSync(mkdtempSync('/srv/gracer-systemd-'))
    mkdirSync(join(this.folder, 'units'))
    // What every unit depends on by default; here it stands for nothing.
    const stubs = Object.fromEntries(['test', 'sysinit', 'basic', 'sockets', 'network', 'shutdown', '-.slice'].map((name) => [name.includes('.') ? name : `${name}.target`, '[Unit]\nDefaultDependencies=no\n']))
    for (const [name, text] of Object.entries({ ...stubs, ...units })) writeFileSync(join(this.folder, 'units', name), text.replaceAll('@FOLDER@', this.folder))
    const script = [
      'set -e', 'mount --make-rprivate /', 'mount -t tmpfs tmpfs /run', 'mkdir -p /run/systemd/system /run/lock',
      `export container=gracer-test SYSTEMD_UNIT_PATH=${join(this.folder, 'units')} SYSTEMD_LOG_TARGET=console`,
      `exec ${systemd ?? ''} --system --unit=test.target --show-status=0 --default-standard-output=null`,
    ].join('\n')
    const log = openSync(join(this.folder, 'systemd.log'), 'a')
    // Were this test killed, --kill-child takes PID 1 along, and the kernel all the others of its namespace.
    this.#child = spawn('unshare', ['-m', '-p', '-u', '-i', '-C', '--fork', '--kill-child', '--mount-proc', 'sh', '-c', script], { stdio: ['ignore', log, log] })
  }

  /** Units by file name; @FOLDER@ in them is replaced by a folder of this systemd's own, which `prepare` may fill. */
  static async start(units: Readonly<Record<string, string>>, prepare: (folder: string) => void = () => {}): Promise<Systemd> {
    const made = new Systemd(units)
    prepare(made.folder)
    made.#init = await until('PID 1 of the namespace', () => Number(readFileSync(`/proc/${made.#child.pid}/task/${made.#child.pid}/children`, 'utf8').trim()) || null)
    await until('systemd to answer', () => made.systemctl('show', '--property=Version').code === 0, 20_000, 50)
    return made
  }

  /** Runs systemctl inside; `--wait`-like verbs return when systemd has done it. */
  systemctl(...args: string[]): { code: number | null; out: string } {
    const { status, stdout, stderr } = spawnSync('nsenter', ['-t', String(this.#init), '-m', '-p', '-u', '-i', '-C', 'systemctl', ...args], { encoding: 'utf8', timeout: 120_000 })
    return { code: status, out: stdout + stderr }
  }

  /** The same without waiting in this process: for a load that must run meanwhile. */
  async systemctlBeside(...args: string[]): Promise<{ code: number | null; out: string }> {
    const child = spawn('nsenter', ['-t', String(this.#init), '-m', '-p', '-u', '-i', '-C', 'systemctl', ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    let out = ''
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (out += text))
    const code = await new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve))
    return { code, out }
  }

  property(unit: string, name: string): string {
    return this.systemctl('show', '--value', `--property=${name}`, unit).out.trim()
  }

  log(): string {
    return readFileSync(join(this.folder, 'systemd.log'), 'utf8')
  }

  /** A pid inside, as /proc of this machine numbers it. */
  outerPid(inner: number): number {
    const children = readFileSync(`/proc/${this.#init}/task/${this.#init}/children`, 'utf8').trim().split(/\s+/).map(Number)
    const found = children.find((pid) => readFileSync(`/proc/${pid}/status`, 'utf8').match(/^NSpid:\s+.*?(\d+)$/m)?.[1] === String(inner))
    if (found === undefined) throw new Error(`no process ${inner} inside`)
    return found
  }

  async end(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('exit', resolve))
    // The end of a PID 1 waits for the end of all in its namespace; the end of `unshare` would wait for none of them,
    // and what still writes below the folder would be met by its removal.
    if (this.#init > 0) process.kill(this.#init, 'SIGKILL')
    else this.#child.kill('SIGKILL')
    if (this.#child.exitCode === null && this.#child.signalCode === null) await ended
    rmSync(this.folder, { recursive: true, force: true })
  }
}
