import { readdirSync, readFileSync } from 'node:fs'
import { numberOfKey, serviceOfKey, type ReleaseId } from '../release-key.ts'

/** Signals a whole process group (kill(2) with a negative pid). False: there is no such group any more. */
export function signalGroup(leader: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(-leader, signal)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Whether any member of the group still runs. Zombies that nobody reaps do not count, where /proc can tell. */
export function groupRuns(leader: number): boolean {
  if (!signalGroup(leader, 0)) return false
  if (process.platform !== 'linux') return true
  return groupMembers(leader).length > 0
}

/** Who of the group runs, zombies left out. Linux only; [] elsewhere. */
export function groupMembers(leader: number): number[] {
  if (process.platform !== 'linux') return []
  return pids().filter((pid) => {
    const fields = statFields(pid)
    // Fields of proc(5) after the command: state, ppid, pgrp.
    return fields !== null && fields[2] === String(leader) && fields[0] !== 'Z' && fields[0] !== 'X'
  })
}

/**
 * Processes of a release that left its process group (double forks): those whose environment still names the service,
 * the release and its port. Linux only, and only processes this user may look at; [] elsewhere.
 */
export function strayProcesses(key: ReleaseId, port: number): number[] {
  if (process.platform !== 'linux') return []
  const service = serviceOfKey(key)
  const release = numberOfKey(key)
  return pids().filter((pid) => {
    const environment = readText(`/proc/${pid}/environ`)
    if (environment === null) return false
    const variables = environment.split('\0')
    // Whoever was started before there were several services does not say of which it is: the port tells.
    const named = variables.includes(`GRACER_SERVICE=${service}`) || !variables.some((one) => one.startsWith('GRACER_SERVICE='))
    return named && variables.includes(`GRACER_RELEASE=${release}`) && variables.includes(`PORT=${port}`) && statFields(pid)?.[0] !== 'Z'
  })
}

function pids(): number[] {
  return readdirSync('/proc').map(Number).filter((pid) => Number.isInteger(pid) && pid > 1)
}

function statFields(pid: number): string[] | null {
  const stat = readText(`/proc/${pid}/stat`)
  return stat === null ? null : stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return null
  }
}
