import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readTable, writeTable } from '../../proxy/table-file.ts'
import { withoutDeadTargets, withRoute, emptyTable, type ProposedRoute } from '../../proxy/table.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gracer-files-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const route: ProposedRoute = {
  service: 'shop', state: 'serving', reason: null, settings: { holdTimeoutMs: 1, holdMax: 1 },
  live: { release: 'shop/v2', host: '127.0.0.1', port: 2, healthy: true }, fallback: { release: 'shop/v1', host: '127.0.0.1', port: 1, healthy: true },
}

describe('the table file', () => {
  it('is read back as written, and leaves no temporary file', () => {
    const table = withRoute(emptyTable, 3, route)
    writeTable(join(folder, 'table.json'), table)
    expect(readTable(join(folder, 'table.json'))).toEqual(table)
    expect(readdirSync(folder)).toEqual(['table.json'])
  })

  it.each(['', '{', 'null', '{"epoch":1}', '{"epoch":1,"number":1,"routes":[{"service":"shop"}]}', '{"epoch":"1","number":1,"routes":[]}'])('is not believed when it is %j', (text) => {
    writeFileSync(join(folder, 'table.json'), text)
    expect(readTable(join(folder, 'table.json'))).toBeNull()
  })

  it('names releases by their number alone where an earlier version wrote it', () => {
    const old = { epoch: 2, number: 5, routes: [{ ...route, since: 4, live: { ...route.live, release: 'v2' }, fallback: { ...route.fallback, release: 'v1' } }] }
    writeFileSync(join(folder, 'table.json'), JSON.stringify(old))
    expect(readTable(join(folder, 'table.json'))?.routes[0]).toMatchObject({ live: { release: 'shop/v2' }, fallback: { release: 'shop/v1' } })
  })

  it('begins without targets that do not run, and holds a service that has none', () => {
    const table = withRoute(emptyTable, 3, route)
    expect(withoutDeadTargets(table, 4, (target) => target.release === 'shop/v2').routes[0]).toMatchObject({ state: 'serving', live: { release: 'shop/v2' }, fallback: null })
    expect(withoutDeadTargets(table, 4, () => false)).toMatchObject({ epoch: 4, number: 2, routes: [{ state: 'holding', live: null, since: 2 }] })
  })
})
