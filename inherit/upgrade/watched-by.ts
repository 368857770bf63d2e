type Environment = Readonly<Record<string, string | undefined>>

/**
 * Who takes the end of this very process for the end of the service, and would end or restart it: then it must not leave
 * to a successor. Undefined where nobody does, as far as can be told. `env` is the environment the process began with.
 */
export function watchedBy(env: Environment, pid: number): string | undefined {
  if (pid === 1) return 'it is process 1, with which its container ends'
  // systemd.exec(5), since version 248. With a notify socket systemd is told of the new main process.
  if (env['SYSTEMD_EXEC_PID'] === String(pid) && env['NOTIFY_SOCKET'] === undefined) return 'it is the main process of a systemd unit without Type=notify'
  if (env['pm_id'] !== undefined) return 'pm2 watches it'
  if (env['SUPERVISOR_ENABLED'] !== undefined) return 'supervisord watches it'
  return undefined
}
