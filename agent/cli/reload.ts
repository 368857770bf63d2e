import { GracerError } from '../../inherit/gracer-error.ts'
import type { ConfigChange } from '../config/compare.ts'
import type { ReloadAnswer, Status } from '../control/shapes.ts'
import { contextOf } from './context.ts'
import type { CommonOptions } from './options.ts'
import { writeJson, writeText } from './output.ts'

/** `gracer reload`: the running gracer reads its config again. An invalid one changes nothing and exits 2. */
export async function runReload(options: CommonOptions): Promise<number> {
  const context = contextOf(options)
  const asked = (): Promise<Status> => context.client.request<Status>('GET', '/v1/status')
  const { change } = await context.client.request<ReloadAnswer>('POST', '/v1/reload', {}).catch(async (error: unknown) => {
    if (!(error instanceof GracerError) || error.code !== 'config-invalid') throw error
    const { code, exitCode, cause } = error
    throw new GracerError(error.message, { code, exitCode, cause, hint: `${liveText(await asked())}, as before: nothing was changed. When it is mended: gracer reload.` })
  })
  const status = await asked()
  if (options.json) await writeJson({ schema: 1, ...change, live: status.services.map(({ name, live }) => ({ service: name, live })) })
  else await writeText(reloadText(change, status))
  return 0
}

function liveOf(status: Status, name: string): string | null {
  return status.services.find((service) => service.name === name)?.live ?? null
}

function liveText({ services }: Status): string {
  return services.map(({ name, live }) => `${services.length === 1 ? '' : `${name}: `}${live ?? 'nothing'} is live`).join(', ')
}

/** Pure: what is live, what has changed at once, and what to type for the rest. */
export function reloadText(change: ConfigChange, status: Status): string {
  const lines = [
    ...(change.now.length === 0 ? [] : [`  ${change.now.join(', ')} changed and ${change.now.length === 1 ? 'is' : 'are'} in use`]),
    ...(change.notes ?? []).map((note) => `  ${note}`),
    ...change.added.map((name) => `  ${name} is new: ${liveOf(status, name) === null ? `requests are held while its first release boots; without one, deploy it: gracer swap PATH --service ${name}` : 'it serves'}`),
    ...change.removed.map((name) => `  ${name} is gone: 404 from now on; what is in flight finishes, then it is stopped. Its state is kept`),
    ...change.changed.filter(({ now }) => now.length > 0).map(({ service, now }) => `  ${service}: ${now.join(', ')} changed and ${now.length === 1 ? 'is' : 'are'} in use`),
    ...change.changed.filter(({ nextBoot }) => nextBoot.length > 0).map(({ service, nextBoot }) => `  ${service}: ${nextBoot.join(', ')} changed; taken up by the next boot: ${liveOf(status, service) === null ? 'gracer swap PATH' : 'gracer restart'}${status.services.length === 1 ? '' : ` --service ${service}`}`),
    ...(change.nextStart.length === 0 ? [] : [`  ${change.nextStart.join(', ')} changed; taken up when gracer is started again: under systemd with the socket unit "systemctl restart gracer" refuses nothing, otherwise gracer down and gracer up`]),
  ]
  return [`${liveText(status)}; the config was read again${lines.length === 0 ? ', and nothing in it has changed' : ''}`, ...lines].join('\n')
}
