import { z } from 'zod'
import { fileSchema } from './schema.ts'

/** The JSON schema of gracer.json as text (draft 7, which every editor reads), for docs/gracer.schema.json. */
export function configJsonSchema(): string {
  const { $schema, ...schema } = z.toJSONSchema(fileSchema, { io: 'input', target: 'draft-7', unrepresentable: 'any' })
  return `${JSON.stringify({ $schema, title: 'gracer.json', ...schema }, null, 2)}\n`
}
