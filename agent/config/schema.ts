import { z } from 'zod'
import { accessKey, limitsKey, metricsKey } from './front-schema.ts'
import { defaults } from './defaults.ts'
import { group, oneOf, whole, yesOrNo } from './kinds.ts'
import { hostPattern, pathPrefix } from './match-schema.ts'
import { serviceKeys } from './service-schema.ts'
import { parseListen } from './units.ts'

/**
 * What gracer.json may contain. Each message says only what was expected: problems.ts puts the path before it and
 * what came behind it. The defaults stand in defaults.ts; the JSON schema in docs/ is generated from this.
 */

const log = {
  level: oneOf(['debug', 'info', 'warn', 'error'], 'What gracer itself logs.').prefault(defaults.log.level),
  access: accessKey,
}

const top = {
  $schema: z.string({ error: 'the address of a JSON schema' }).meta({ description: 'For editors; gracer does not read it.' }).optional(),
  listen: z
    .string({ error: 'an address such as "127.0.0.1:8080", "[::1]:8080" or "8080"' })
    .transform((written, context) => {
      const address = parseListen(written)
      if (address !== undefined) return address
      context.addIssue('an address such as "127.0.0.1:8080", "[::1]:8080" or "8080" (a number alone means loopback, ":8080" every IPv4 address)')
      return z.NEVER
    })
    .meta({ description: 'The public address.' })
    .prefault(defaults.listen),
  workers: whole(1, 64, 'Processes that forward requests.').prefault(defaults.workers),
  trustProxy: yesOrNo('Whether X-Forwarded-* of whoever connects are believed.').prefault(defaults.trustProxy),
  limits: limitsKey,
  log: group(log, 'What is logged.'),
  metrics: metricsKey,
}

/** Where a service stands among several: what it answers to, and its own keys. */
const entryKeys = { host: hostPattern, path: pathPrefix, ...serviceKeys }

const services = z
  .record(
    z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, { error: 'the name of a service: letters, digits, ".", "_" and "-", at most 64' }),
    object(entryKeys),
    { error: (issue) => (issue.code === 'invalid_type' ? 'an object of services by their names, { "api": { … } }' : undefined) },
  )
  .refine((entries) => Object.keys(entries).length > 0, { error: 'at least one service' })
  .meta({ description: 'Several apps behind one port, by name. The keys of a service then stand here and not at the top.' })

function object<Shape extends z.ZodRawShape>(shape: Shape) {
  return z.strictObject(shape, { error: (issue) => (issue.code === 'invalid_type' ? 'an object, { … }' : undefined) })
}

/** One service, `default`, whose keys stand at the top. */
export const flatSchema = object({ ...top, ...serviceKeys })
export const servicesSchema = object({ ...top, services })
/** Either of the two, for editors. */
export const fileSchema = object({ ...top, ...serviceKeys, services: services.optional() })

export type TopValues = Omit<z.output<typeof servicesSchema>, 'services'>

/** The known keys of each group, by its path; '' is the top, `services.*` any service. */
export const knownKeys: ReadonlyMap<string, readonly string[]> = new Map([
  ...groupsOf({ ...top, ...serviceKeys, services }, ''),
  ...groupsOf(entryKeys, 'services.*'),
])

/** The keys at the top that belong to one service. */
export const flatKeys: readonly string[] = Object.keys(serviceKeys)

function groupsOf(shape: z.core.$ZodShape, path: string): [string, readonly string[]][] {
  const inner = Object.entries(shape).flatMap(([key, schema]) => {
    const found = shapeOf(schema)
    return found === null ? [] : groupsOf(found, path === '' ? key : `${path}.${key}`)
  })
  return [[path, Object.keys(shape).filter((key) => key !== '$schema')], ...inner]
}

/** The keys of a group, with or without a default. */
function shapeOf(schema: z.core.$ZodType): z.core.$ZodShape | null {
  if (schema instanceof z.ZodObject) return schema.shape
  const { innerType } = schema._zod.def as { innerType?: z.core.$ZodType }
  return innerType === undefined ? null : shapeOf(innerType)
}
