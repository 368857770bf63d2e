import { runConsole } from './follow.ts'
import { say } from './output.ts'

// node dist/agent/cli/console-main.js STATEFOLDER: started by `gracer up`, ends with it.
const state = process.argv[2]
if (state === undefined) {
  say('console-main: expected a state folder, got nothing')
  process.exit(2)
}
await runConsole({ state, tty: process.stderr.isTTY === true })
