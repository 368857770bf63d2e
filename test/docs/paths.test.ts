import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { root } from '../support/gracer-process.ts'

const pages = ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'SECURITY.md', 'docs/dependencies.md', 'docs/canary-verdict.md', 'docs/library.md']
const folders = /^(?:inherit|proxy|agent|test|deploy|docs|scripts)\//

describe('the pages', () => {
  it.each(pages)('%s names only files and folders that are there', (page) => {
    const named = [...readFileSync(join(root, page), 'utf8').matchAll(/`([\w./*-]+)`|\]\(([\w./-]+)\)/g)].map((match) => match[1] ?? match[2] ?? '')
    const paths = named.filter((path) => folders.test(path) && !path.includes('*'))
    expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([])
  })

  it('name every npm script that they mention as it is in package.json', () => {
    const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: Record<string, string> }
    const mentioned = pages.flatMap((page) => [...readFileSync(join(root, page), 'utf8').matchAll(/npm run ([a-z]+)/g)].map((match) => match[1] ?? ''))
    expect(mentioned.length).toBeGreaterThan(2)
    expect(mentioned.filter((script) => scripts[script] === undefined)).toEqual([])
  })
})
