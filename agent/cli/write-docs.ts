import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { generatedPages } from './generated-pages.ts'

// `npm run docs`: writes the pages that are generated from the program.
for (const [file, text] of generatedPages()) writeFileSync(join(process.argv[2] ?? 'docs', file), text)
