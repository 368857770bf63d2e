// `npm start`: gracer in front of the example app. Everything lies in .example/ and can be thrown away.
import { cpSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
process.chdir(root)
const releases = join('.example', 'releases')
mkdirSync(releases, { recursive: true })
if (readdirSync(releases).filter((name) => !name.startsWith('.')).length === 0) {
  const first = join(releases, 'v1')
  cpSync(join('deploy', 'examples', 'hello'), first, { recursive: true })
  // The marker says that it is whole: nothing needs to be waited for.
  writeFileSync(`${first}.ready`, '')
}

const next = `v${readdirSync(releases).filter((name) => /^v\d+$/.test(name)).length + 1}`
const args = process.argv.slice(2)
process.stderr.write(`
The example app is served from ${releases}. To see a swap, in a second terminal in this folder:

  cp -r deploy/examples/hello ${releases}/.${next}
  sed -i.bak 's/version 1/version 2/' ${releases}/.${next}/server.mjs
  mv ${releases}/.${next} ${releases}/${next}

The next request is answered by it. Or name a build:  npx gracer swap ./deploy/examples/hello --state .example/.gracer
Then:  npx gracer status --state .example/.gracer   (also: history, explain, rollback, logs -f)
To end it: Ctrl-C.

`)
if (!existsSync(join('dist', 'agent', 'cli', 'main.js'))) throw new Error('dist/ is missing: run `npm run build`')
process.argv = [process.argv[0], join(root, 'dist', 'agent', 'cli', 'main.js'), '--state', join('.example', '.gracer'), 'up', '--releases', releases, ...args, ...(args.includes('--') ? [] : ['--', 'node', 'server.mjs'])]
await import('../dist/agent/cli/main.js')
