import type { CanaryReason } from './steps.ts'
import type { Verdict } from './verdict.ts'
import { verdictText } from './verdict-text.ts'

/** Why a canary has ended or goes on to its flip, as one line that says no more than is known. */
export function describeReason(type: 'promote' | 'abort', reason: CanaryReason, verdict: Verdict): string {
  const told = verdictText(verdict)
  switch (reason.kind) {
    case 'worse':
      return `it is ${told}`
    case 'fault':
      return reason.what
    case 'inconclusive':
      return `${told}; taken back, because onInconclusive is "abort"`
    case 'operator':
      return type === 'promote' ? `promoted by command; ${told}` : `the canary was aborted by command; ${told}`
    case 'steps-done':
      return verdict.kind === 'within' ? told : `${told}; promoted all the same, because onInconclusive is "promote"`
  }
}
