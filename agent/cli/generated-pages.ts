import { configPage } from '../config/config-page.ts'
import { configJsonSchema } from '../config/json-schema.ts'
import { cliReference } from './reference.ts'

/** What in docs/ is generated from the program, so that it cannot say anything else: file name and content. */
export function generatedPages(): readonly (readonly [file: string, text: string])[] {
  return [
    ['cli.md', cliReference()],
    ['config.md', configPage()],
    ['gracer.schema.json', configJsonSchema()],
  ]
}
