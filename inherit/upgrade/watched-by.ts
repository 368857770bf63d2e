type Environment = Readonly<Record<string, string | undefined>>

/** The process that started this one. */
export interface Parent {
  readonly pid: number
  /** As the system has it, cut after 15 characters; undefined where it cannot be read. */
  readonly name: string | undefined
}

/** As process 1 these end with the program that they have started. */
const endsWithItsChild = /^(tini|docker-init|dumb-init|catatonit|npm|yarn|pnpm)\b/

/**
 * Who takes the end of this very process for the end of the service, and would end or restart it: then it must not leave
 * to a successor. Undefined where nobody does, as far as can be told. `env` is the environment the process began with.
 */
export function watchedBy(env: Environment, pid: number, parent: Parent): string | undefined {
  if (pid === 1) return 'it is process 1, with which its container ends'
  if (parent.pid === 1 && parent.name !== undefined && endsWithItsChild.test(parent.name)) return `process 1 of its container (${parent.name}) ends with it`
  // systemd.exec(5), since version 248. With a notify socket systemd is told of the new main process.
  if (env['SYSTEMD_EXEC_PID'] === String(pid) && env['NOTIFY_SOCKET'] === undefined) return 'it is the main process of a systemd unit without Type=notify'
  if (env['pm_id'] !== undefined) return 'pm2 watches it'
  if (env['SUPERVISOR_ENABLED'] !== undefined) return 'supervisord watches it'
  return undefined
}
