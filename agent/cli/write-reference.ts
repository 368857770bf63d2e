import { writeFileSync } from 'node:fs'
import { cliReference } from './reference.ts'

// node dist/agent/cli/write-reference.js [FILE]: writes the reference of the command line.
writeFileSync(process.argv[2] ?? 'docs/cli.md', cliReference())
