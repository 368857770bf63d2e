// Installs what is missing and builds what is stale, so that `npm start` and `npm test` need no third command.
// Imports only what Node brings: it runs before anything is installed.
import { spawnSync } from 'node:child_process'
import { existsSync, lstatSync, rmSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < 20 || (major === 20 && minor < 19)) {
  process.stderr.write(`gracer needs Node 20.19 or later; this is ${process.versions.node}. Install a newer Node and run this again.\n`)
  process.exit(2)
}

function run(command, args) {
  const result = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2], shell: process.platform === 'win32' })
  if (result.status !== 0) {
    process.stderr.write(`"${command} ${args.join(' ')}" failed${result.error ? `: ${result.error.message}` : ''}. Its output is above.\n`)
    process.exit(result.status ?? 1)
  }
}

function modifiedAt(path) {
  return existsSync(path) ? statSync(path).mtimeMs : 0
}

// npm writes node_modules/.package-lock.json last: present and newer than our lock file means a finished install.
const installed = modifiedAt(join(root, 'node_modules', '.package-lock.json'))
if (installed === 0 || installed < modifiedAt(join(root, 'package-lock.json'))) {
  if (lstatSync(join(root, 'node_modules'), { throwIfNoEntry: false })?.isSymbolicLink() === true) {
    process.stderr.write('node_modules is a link to a folder with other versions than package-lock.json names; it is not touched. Install there, or remove the link.\n')
    process.exit(2)
  }
  process.stderr.write('Installing dependencies (npm ci) …\n')
  run('npm', ['ci', '--ignore-scripts', '--include=dev'])
}
// For a package: nothing in it may be left over from sources that are gone.
if (process.argv.includes('--clean')) rmSync(join(root, 'dist'), { recursive: true, force: true })
// Incremental: costs about a second when nothing has changed.
run(process.execPath, [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', join(root, 'tsconfig.build.json')])
