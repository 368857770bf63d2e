import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { seededBytes } from './bytes.ts'
import { appsFolder } from './make-release.ts'

interface Contract {
  readonly seededBytes: (seed: number, length: number) => Buffer
}

test('client and apps make the same bytes of a seed', async () => {
  const contract = await import(pathToFileURL(join(appsFolder, 'load-contract.mjs')).href) as Contract
  fc.assert(fc.property(fc.nat(0xfffffffe), fc.nat(3000), (seed, length) => {
    expect(contract.seededBytes(seed, length).equals(seededBytes(seed, length))).toBe(true)
  }))
})

test('the bytes are these and no others, so that a change of them is noticed in every copy', () => {
  expect(seededBytes(1, 10).toString('hex')).toMatchInlineSnapshot(`"bb3d821d81649b1c04ec"`)
  expect(seededBytes(0x5bf03635, 4)).toHaveLength(4)
})

test('different seeds make different bytes from the first word on', () => {
  const first = new Set(Array.from({ length: 5000 }, (_, seed) => seededBytes(seed, 4).readUInt32LE()))
  expect(first.size).toBe(5000)
})
