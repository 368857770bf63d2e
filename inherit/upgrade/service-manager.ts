import { execFile } from 'node:child_process'

/** The command waits until systemd has read the message; a dead one must not hold an upgrade up for longer. */
const patienceMs = 5_000

/**
 * Tells systemd, where NOTIFY_SOCKET is set, which process is the service's main one now, through systemd-notify(1): plain
 * Node cannot send to a datagram socket. Anyone but the main process is heard only with NotifyAccess=all in the unit.
 * Resolves in any case: to undefined, or to a sentence that says what was wrong.
 */
export function tellMainPid(socket: string | undefined, pid: number, path: string | undefined): Promise<string | undefined> {
  if (socket === undefined || socket === '') return Promise.resolve(undefined)
  const env = { NOTIFY_SOCKET: socket, ...(path === undefined ? {} : { PATH: path }) }
  return new Promise((resolve) => {
    execFile('systemd-notify', ['READY=1', `MAINPID=${pid}`], { env, timeout: patienceMs, killSignal: 'SIGKILL' }, (error, _stdout, stderr) => {
      if (error === null) return resolve(undefined)
      const why = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'systemd-notify was not found' : stderr.trim() || error.message
      resolve(`systemd was not told that ${pid} is the main process: ${why}`)
    })
  })
}
