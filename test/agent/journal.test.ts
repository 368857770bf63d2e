import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Journal } from '../../agent/journal.ts'
import { newServiceState } from '../../agent/swap/state.ts'
import { silentLog, type Log } from '../../proxy/log.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gracer-journal-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

describe('the journal', () => {
  const warnings: string[] = []
  const log: Log = { ...silentLog, error: (event) => warnings.push(event) }
  const path = (): string => join(folder, 'journal.json')

  beforeEach(() => {
    warnings.length = 0
    const journal = new Journal(folder, 'shop', log)
    journal.write({ ...newServiceState('shop'), nextNumber: 7 })
    journal.write({ ...newServiceState('shop'), nextNumber: 8 })
  })

  it('is read back as it was written last', () => {
    expect(new Journal(folder, 'shop', log).read().nextNumber).toBe(8)
    expect(warnings).toEqual([])
  })

  it.each(['', '{"schema":1,"rele', 'garbage', '[]', '{"schema":2}'])('is taken from the copy before when it is %j, loudly, and the bad one is put aside', (text) => {
    writeFileSync(path(), text)
    expect(new Journal(folder, 'shop', log).read().nextNumber).toBe(7)
    expect(warnings).toEqual(['journal.unreadable', 'journal.previous-used'])
    const aside = readdirSync(folder).find((name) => name.includes('.bad-'))
    expect(readFileSync(join(folder, aside ?? ''), 'utf8')).toBe(text)
  })

  it('begins anew where no copy can be read: gracer serves all the same', () => {
    writeFileSync(path(), 'x')
    writeFileSync(join(folder, 'journal.previous.json'), 'y')
    expect(new Journal(folder, 'shop', log).read()).toEqual(newServiceState('shop'))
  })

  it('that did not wait for the disk is read like any other, and the copy before it stays one that did', () => {
    const journal = new Journal(folder, 'shop', log)
    const before = (): number => (JSON.parse(readFileSync(join(folder, 'journal.previous.json'), 'utf8')) as { nextNumber: number }).nextNumber
    const write = (nextNumber: number, synced: boolean): number => {
      journal.write({ ...newServiceState('shop'), nextNumber }, synced)
      return before()
    }
    expect([write(9, false), write(10, false), write(11, true), write(12, true)]).toEqual([8, 8, 8, 11])
    write(13, false)
    expect(new Journal(folder, 'shop', log).read().nextNumber).toBe(13)
  })

  it('is not written where nothing has changed', () => {
    const journal = new Journal(folder, 'shop', log)
    journal.write(newServiceState('shop'))
    rmSync(path())
    journal.write(newServiceState('shop'))
    expect(existsSync(path())).toBe(false)
  })
})
