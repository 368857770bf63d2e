import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { root } from '../support/gracer-process.ts'

const docs = readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`)
const pages = ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'SECURITY.md', 'deploy/examples/README.md', ...docs]
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

  it.each(pages)('%s links only to files that are there', (page) => {
    const targets = [...readFileSync(join(root, page), 'utf8').matchAll(/\]\(([^)\s#]+)(?:#[^)\s]*)?\)/g)].map((match) => match[1] ?? '')
    const relative = targets.filter((target) => !/^[a-z]+:/.test(target))
    expect(relative.filter((target) => !existsSync(join(root, dirname(page), target)))).toEqual([])
  })
})
