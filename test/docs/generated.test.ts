import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { generatedPages } from '../../agent/cli/generated-pages.ts'
import { configSchema, leaves, type Schema } from '../../agent/config/config-page.ts'
import { describeConfig } from '../../agent/config/describe.ts'
import { loadConfig } from '../../agent/config/load.ts'
import { root } from '../support/gracer-process.ts'

it.each(generatedPages())('docs/%s is what the program says', (file, text) => {
  expect(readFileSync(join(root, 'docs', file), 'utf8'), 'run: npm run docs').toBe(text)
})

it('every key of the config is said in a sentence, in the page and in the editor, and "gracer check" shows no other', () => {
  const { properties = {} } = configSchema()
  const rows = Object.entries(properties).filter(([key]) => key !== '$schema' && key !== 'services').flatMap(([key, schema]) => leaves(key, schema))
  expect(rows.length).toBeGreaterThan(50)
  expect(rows.filter(({ schema }: { schema: Schema }) => !/^(?:\.\.\. )?.{8,}(?:\.| \.\.\.)$/.test(schema.description ?? '')).map(({ key }) => key)).toEqual([])
  const page = readFileSync(join(root, 'docs/config.md'), 'utf8')
  const shown = describeConfig(loadConfig({ cwd: join(root, 'docs') })).map(({ key }) => key)
  expect(shown.filter((key) => !page.includes(`| \`${key}\` |`))).toEqual([])
})
