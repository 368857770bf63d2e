/** The version of the words that two generations exchange; see attempt-step.ts and channel.ts. */
export const protocolVersion = '1'

/** What the control socket is called among the sockets that are handed down. */
export const controlName = 'gracer-control'

/** What a generation is told by the process that starts it, in GRACER_SUCCESSOR. */
export interface Mark {
  /** 1 for the first. */
  readonly generation: number
  /** Who starts it: the generation before, or the parent with the constant pid that stays in front. */
  readonly by: 'predecessor' | 'front'
  /** Of the process that starts it. */
  readonly pid: number
  /** Paths of the unix sockets handed down, by the name of the socket: they cannot be read from a descriptor. */
  readonly paths: Readonly<Record<string, string>>
  /** Names of those that came from systemd, say: their address is not for the program to change. */
  readonly given: readonly string[]
}

export function writeMark(mark: Mark): string {
  return JSON.stringify(mark)
}

/** Undefined for what no `writeMark` has written. Fields that a later version adds are passed over. */
export function readMark(text: string | undefined): Mark | undefined {
  if (text === undefined) return undefined
  let value: Partial<Mark> | null
  try {
    value = JSON.parse(text) as Partial<Mark> | null
  } catch {
    return undefined
  }
  if (value === null || typeof value !== 'object') return undefined
  const { generation, by, pid, paths, given } = value
  if (!Number.isSafeInteger(generation) || (by !== 'predecessor' && by !== 'front') || !Number.isSafeInteger(pid) || typeof paths !== 'object' || !Array.isArray(given)) return undefined
  return { generation: generation as number, by, pid: pid as number, paths, given }
}
