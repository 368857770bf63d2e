// What the linter cannot see: the lock file, and what must not stand in the repository.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import semver from 'semver'

const oldestNode = '20.19.0'
const problems = []

const lock = JSON.parse(readFileSync('package-lock.json', 'utf8'))
for (const [path, entry] of Object.entries(lock.packages)) {
  if (path === '') continue
  if (entry.hasInstallScript) problems.push(`package-lock.json: ${path} has an install script`)
  if (entry.resolved !== undefined) problems.push(`package-lock.json: ${path} names where it was fetched from; see .npmrc`)
  const node = entry.engines?.node
  if (node !== undefined && !semver.satisfies(oldestNode, node)) problems.push(`package-lock.json: ${path} ${entry.version} wants Node ${node}, not ${oldestNode}`)
}

const { dependencies, devDependencies } = JSON.parse(readFileSync('package.json', 'utf8'))
const reasons = readFileSync('docs/dependencies.md', 'utf8')
for (const name of [...Object.keys(dependencies), ...Object.keys(devDependencies)]) {
  if (!reasons.includes(`\`${name}\``)) problems.push(`docs/dependencies.md gives no reason for ${name}`)
}

const files = execFileSync('git', ['ls-files', '-z'], { encoding: 'utf8' }).split('\0').filter((file) => file !== '')
const isText = (file) => /\.(ts|mjs|js|json|md|py|sh|yml|service|socket|conf)$|^\.|Dockerfile$/.test(file)
for (const file of files.filter(isText)) {
  const text = readFileSync(file, 'utf8')
  if (/\b(it|test|describe)\.(only|todo)\b/.test(text) && file.startsWith('test/')) problems.push(`${file}: a test is marked only or todo`)
  if (/\bTODO\b|\bFIXME\b/.test(text) && file !== 'scripts/check-repository.mjs') problems.push(`${file}: something is left open`)
  if (hostname().length > 6 && text.includes(hostname())) problems.push(`${file}: names this machine`)
}

if (problems.length > 0) {
  process.stderr.write(`${problems.join('\n')}\n`)
  process.exit(1)
}
process.stdout.write(`repository: ${files.length} files checked\n`)
