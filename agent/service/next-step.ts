import type { OutcomeName } from '../control/shapes.ts'
import { labelOf, stateOf, type ReleaseRecord, type ServiceState } from '../swap/state.ts'

/** The commands in a sentence as they are typed for this service: of several each has to be named. */
export function forService(text: string, service: string): string {
  if (service === 'default') return text
  return text.replaceAll(/\bgracer (?:logs|swap|rollback|restart|explain|canary [a-z]+)\b/g, (command) => `${command} --service ${service}`)
}

/** What to type next after an outcome; null: nothing needs to be. */
export function hintFor(name: OutcomeName, record: ReleaseRecord, state: ServiceState, workingFolder: string | null): string | null {
  const hint = hintOf(name, record, state, workingFolder)
  return hint === null ? null : forService(hint, state.service)
}

function hintOf(name: OutcomeName, record: ReleaseRecord, state: ServiceState, workingFolder: string | null): string | null {
  switch (name) {
    case 'failed':
    case 'flipped-back':
      return `${unnamedFile(record)}${allOutput(record)}${afterMending(record, workingFolder)}`
    case 'timed-out':
      return `Give it longer: ${swapAgain(record, workingFolder)} --timeout 2m. What it was doing: gracer explain ${labelOf(record)}.`
    case 'confirmed':
      return state.previous.length > 0 ? 'To go back: gracer rollback.' : null
    default:
      return null
  }
}

/** What to type next, for a release in its state. */
export function nextStep(state: ServiceState, record: ReleaseRecord, workingFolder: string | null): string {
  return forService(stepFor(state, record, workingFolder), state.service)
}

function stepFor(state: ServiceState, record: ReleaseRecord, workingFolder: string | null): string {
  // Of several releases of one name the name means the newest.
  const label = state.releases.findLast(({ name }) => name !== null && name === record.name) === record ? labelOf(record) : record.id
  switch (stateOf(state, record)) {
    case 'booting':
      return 'It is not live yet. To undo it: gracer rollback. To watch it: gracer status --watch.'
    case 'live':
      return state.confirmed === record.id ? 'It is live and confirmed. To go back: gracer rollback.' : 'It is live and bakes; to go back at once: gracer rollback.'
    case 'canary':
      return 'A share of the visitors gets it. How it does: gracer canary status. To give it to all, or take it back: gracer canary promote, gracer canary abort.'
    case 'restarting':
      return `It is being started again with a growing delay. Its output: gracer logs ${label}. To go back: gracer rollback.`
    case 'draining':
    case 'warm':
      return 'It gets no new requests. Nothing is to be done.'
    case 'failed':
      return `${unnamedFile(record)}${allOutput(record)}${afterMending(record, workingFolder)}`
    case 'stopped':
      return record.everConfirmed ? `To deploy it again: gracer rollback ${label}.` : `To deploy it: ${swapAgain(record, workingFolder)}.`
  }
}

/** A single file whose configured command runs something else lies alone in its folder: most likely that is why. */
function unnamedFile({ copy, boot, outcome }: ReleaseRecord): string {
  const file = copy?.file ?? null
  if (file === null || boot === null || outcome?.failure?.stage !== 'boot' || boot.command.some((word) => word.includes(file))) return ''
  return `The command does not name ${file}, all that this build holds: write {build} in it where the file goes, as in "node {build}". `
}

function allOutput(record: ReleaseRecord): string {
  const logFile = record.outcome?.failure?.logFile ?? null
  return logFile === null ? '' : `See all of its output: gracer logs ${labelOf(record)}. `
}

function afterMending(record: ReleaseRecord, workingFolder: string | null): string {
  const again = `When it is mended: ${swapAgain(record, workingFolder)}.`
  return record.dropKey === null ? again : `As it is, it is not deployed again by itself. ${again}`
}

/** The command that tries the same build again: by its name or its path, and without either where `gracer up` was started. */
function swapAgain(record: ReleaseRecord, workingFolder: string | null): string {
  if (record.source === workingFolder) return 'gracer swap'
  return `gracer swap ${record.name ?? shellWord(record.source)}`
}

function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}
