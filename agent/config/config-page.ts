import { z } from 'zod'
import { accessDefaults } from './front-schema.ts'
import { fileSchema, flatKeys } from './schema.ts'
import { durationPattern } from './units.ts'

/** docs/config.md: every key of gracer.json with its type, default and meaning. Generated from the schema that reads it. */

/** As much of a JSON schema as ours has. */
export interface Schema {
  readonly type?: string | readonly string[]
  readonly description?: string
  readonly default?: unknown
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly pattern?: string
  /** Ours: of a string with a meaning of its own. */
  readonly kind?: 'size' | 'percentage'
  readonly minimum?: number
  readonly maximum?: number
  readonly exclusiveMinimum?: number
  readonly items?: Schema
  readonly anyOf?: readonly Schema[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly additionalProperties?: boolean | Schema
}

interface Row {
  readonly key: string
  readonly schema: Schema
}

export function configSchema(): Schema {
  return lifted(z.toJSONSchema(fileSchema, { io: 'input', target: 'draft-7', unrepresentable: 'any' }) as Schema)
}

/** What is said of a key that may be null is said of the whole, where editors look for it. */
function lifted(schema: Schema): Schema {
  const anyOf = schema.anyOf?.map(lifted)
  const said = anyOf?.find((one) => one.description !== undefined)
  const { properties, additionalProperties } = schema
  return {
    ...schema,
    ...(anyOf === undefined ? {} : { anyOf }),
    ...(said === undefined || schema.description !== undefined ? {} : { description: said.description, anyOf: anyOf?.map(({ description: _said, ...one }) => one) }),
    ...(properties === undefined ? {} : { properties: Object.fromEntries(Object.entries(properties).map(([key, one]) => [key, lifted(one)])) }),
    ...(typeof additionalProperties === 'object' ? { additionalProperties: lifted(additionalProperties) } : {}),
  } as Schema
}

export function configPage(): string {
  const { properties = {} } = configSchema()
  const keys = Object.entries(properties).filter(([key]) => key !== '$schema')
  const ofService = new Set(flatKeys)
  const services = properties['services']
  const entry = typeof services?.additionalProperties === 'object' ? services.additionalProperties.properties ?? {} : {}
  return [
    '# The config',
    '',
    'Generated from the schema that reads it (`npm run docs`); do not edit.',
    '',
    '`gracer.json`, where `gracer up` is started or in a folder above it, or `--config FILE`. JSON in which comments and a comma too many are fine. Every key is optional; an unknown one, or a value that does not fit, refuses the whole config with exit code 2 and all errors at once. `gracer check` shows what is in force and where each value comes from; `gracer init` writes a first one. [gracer.schema.json](gracer.schema.json) is for your editor: `"$schema": "./node_modules/gracer/docs/gracer.schema.json"`.',
    '',
    'A *duration* is a number with its unit, such as `"250ms"`, `"30s"`, `"2m"` or `"1h"`, up to 24h. A *size* is one such as `"500KB"` or `"64MiB"`, a *percentage* one such as `"1%"`.',
    '',
    '## Of gracer',
    '',
    'Read by `gracer up`; where a group says so, by `gracer reload` too.',
    '',
    ...table(keys.filter(([key]) => !ofService.has(key) && key !== 'services')),
    '## Of a service',
    '',
    'These stand at the top where there is one app, and in each entry of `services` where there are several. They are read again at every swap and by `gracer reload`.',
    '',
    ...table(keys.filter(([key]) => ofService.has(key))),
    '## Several services',
    '',
    `\`services\`: ${services?.description ?? ''} Each entry has these beside the keys above; [services.md](services.md).`,
    '',
    ...table(Object.entries(entry).filter(([key]) => !ofService.has(key))),
  ].join('\n')
}

/** A table of the plain keys, then one for each group. */
function table(entries: readonly (readonly [string, Schema])[]): string[] {
  const plain = entries.filter(([, schema]) => groupOf(schema) === null)
  const groups = entries.filter(([, schema]) => groupOf(schema) !== null)
  return [
    ...(plain.length === 0 ? [] : [...rows(plain.map(([key, schema]) => ({ key, schema }))), '']),
    ...groups.flatMap(([key, schema]) => [`### ${key}`, '', sentence(schema), '', ...rows(leaves(key, schema)), '']),
  ]
}

function rows(found: readonly Row[]): string[] {
  return ['| key | type | default | |', '| --- | --- | --- | --- |', ...found.map(({ key, schema }) => `| \`${key}\` | ${cell(typeText(schema))} | ${cell(defaultText(key, schema))} | ${cell(sentence(schema))} |`)]
}

/** The keys of a group, those of groups within it too. */
export function leaves(path: string, schema: Schema): Row[] {
  const inner = groupOf(schema)
  // A group that may also be a word: its own row says so.
  const own = schema.anyOf === undefined || inner === null ? [] : [{ key: path, schema }]
  return inner === null ? [{ key: path, schema }] : [...own, ...Object.entries(inner).flatMap(([key, one]) => leaves(`${path}.${key}`, one))]
}

function groupOf(schema: Schema): Readonly<Record<string, Schema>> | null {
  return schema.properties ?? schema.anyOf?.find((one) => one.properties !== undefined)?.properties ?? null
}

function typeText(schema: Schema): string {
  if (schema.anyOf !== undefined) return [...new Set(schema.anyOf.map(typeText))].join(' or ')
  if (schema.enum !== undefined) return schema.enum.map((value) => code(value)).join(', ')
  if (schema.const !== undefined) return code(schema.const)
  if (typeof schema.type === 'object') return schema.type.map((type) => typeText({ type })).join(' or ')
  switch (schema.type) {
    case 'boolean':
      return '`true`, `false`'
    case 'integer':
      return `whole number, ${schema.minimum ?? ''} to ${schema.maximum ?? ''}`
    case 'number':
      return `number, ${schema.exclusiveMinimum === undefined ? (schema.minimum ?? '') : `above ${schema.exclusiveMinimum}`} to ${schema.maximum ?? ''}`
    case 'string':
      return schema.pattern === durationPattern.source ? 'duration' : schema.kind ?? 'string'
    case 'null':
      return '`null`'
    case 'array':
      return schema.items?.type === 'array' ? 'array of arrays of strings' : schema.items?.enum === undefined ? `array of ${plural(schema.items)}` : `array of ${typeText(schema.items)}`
    default:
      return typeof schema.additionalProperties === 'object' && schema.properties === undefined ? `object of ${plural(schema.additionalProperties)}` : 'object'
  }
}

function plural(schema: Schema | undefined): string {
  if (schema?.anyOf !== undefined) return schema.anyOf.map((one) => (one.type === 'integer' ? 'port numbers' : typeText(one))).join(' or ')
  return schema?.type === 'string' ? 'strings' : 'values'
}


function defaultText(key: string, schema: Schema): string {
  if (key === 'log.access') return `${code(schema.default)}; \`true\` means a \`sample\` of ${accessDefaults.sample}`
  return schema.default === undefined || schema.default === null ? '' : code(schema.default)
}

function sentence({ description = '' }: Schema): string {
  return description
}

function code(value: unknown): string {
  return `\`${JSON.stringify(value)}\``
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ')
}
