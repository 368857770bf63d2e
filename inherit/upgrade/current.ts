import type { Upgradable } from './upgradable.ts'

const shared = Symbol.for('gracer.program.1')
const holder = globalThis as { [shared]?: Upgradable | undefined }

/** The one program that this process serves: an upgrade replaces a process, so there is one of them in it. */
export function currentProgram(): Upgradable | undefined {
  return holder[shared]
}

export function setCurrentProgram(program: Upgradable | undefined): void {
  holder[shared] = program
}
