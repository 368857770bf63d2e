import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { App, type AppStart } from './app.ts'
import { firstApp } from './cycle.ts'
import type { DevOptions } from './options.ts'
import { planDev, type DevPlan, type PlanOptions } from './plan.ts'

export interface FirstBoot {
  readonly plan: DevPlan
  /** Under way already; null: it is started as any other is. */
  readonly app: App | null
  /** Milliseconds since 1970: files that changed after it have changed during the boot. */
  readonly since: number
  /** The files that lay in the working folder itself at that moment; absolute. */
  readonly files: readonly string[]
}

/**
 * Starts the app before the rest of gracer is even loaded, which takes as long as a small app's boot: only where nothing
 * is built first and no port has to be found for it.
 * @throws GracerError as planDev does. What is wrong with the start itself is left to be found, and told, by the usual way.
 */
export async function beginFirstBoot(options: PlanOptions & Pick<DevOptions, 'build'>, output: AppStart['output']): Promise<FirstBoot> {
  const since = Date.now()
  const files = filesIn(options.cwd)
  const plan = await planDev(options)
  if (options.build !== null || plan.inspect !== null || plan.service.ports.size > 0) return { plan, app: null, since, files }
  const { command, env, socket } = plan
  const app = await App.start({ id: firstApp, cwd: options.cwd, command, env, socket, output }).catch(() => null)
  return { plan, app, since, files }
}

function filesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => join(folder, entry.name))
  } catch {
    return []
  }
}
