import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { configJsonSchema } from './json-schema.ts'

// node dist/agent/config/write-schema.js [FILE]: writes the JSON schema of the config.
const target = process.argv[2] ?? 'docs/gracer.schema.json'
mkdirSync(dirname(target), { recursive: true })
writeFileSync(target, configJsonSchema())
