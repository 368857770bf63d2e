import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll } from 'vitest'

export const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..')

const folders: string[] = []

/** A folder of this test file's own (0700), removed when it is through. */
export function scratch(): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'gracer-test-')))
  folders.push(folder)
  return folder
}

/** A folder with a gracer.json of this content. */
export function withConfig(content: unknown): string {
  const folder = scratch()
  writeFileSync(join(folder, 'gracer.json'), typeof content === 'string' ? content : JSON.stringify(content))
  return folder
}

afterAll(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

/** Waits for a condition, with a deadline. */
export async function until(condition: () => boolean | Promise<boolean>, what: string, deadlineMs = 10_000): Promise<void> {
  const deadline = performance.now() + deadlineMs
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`waited ${deadlineMs} ms in vain for: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
