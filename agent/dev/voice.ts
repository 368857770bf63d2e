import type { OutputStream } from './app-output.ts'
import type { DevFailure } from './failure.ts'
import type { DevPlan } from './plan.ts'
import type { Reload } from './report.ts'

/** What a terminal, or whoever stands for it, is told. */
export interface DevVoice {
  listening(url: string, plan: DevPlan): void
  /** Something takes its time: 'building', 'booting'. */
  phase(what: string): void
  output(stream: OutputStream, chunk: Buffer): void
  reload(reload: Reload): void
  failure(failure: DevFailure): void
  notice(text: string): void
}
