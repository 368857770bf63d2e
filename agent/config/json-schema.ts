import { configSchema } from './config-page.ts'

/** The JSON schema of gracer.json as text (draft 7, which every editor reads), for docs/gracer.schema.json. */
export function configJsonSchema(): string {
  const { $schema, ...schema } = configSchema() as { $schema?: string }
  const text = JSON.stringify({ $schema, title: 'gracer.json', ...schema }, (key, value: unknown) => (key === 'kind' && typeof value === 'string' ? undefined : value), 2)
  return `${text}\n`
}
