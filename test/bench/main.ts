import { dropToReply } from './drop-to-reply.ts'

// npm run bench [-- drop [RUNS]]: figures are medians with their range; ratios and differences come from the same run.
const [what = 'drop', runs = '15'] = process.argv.slice(2)
if (what !== 'drop') {
  process.stderr.write(`bench: expected "drop", got ${JSON.stringify(what)}\n`)
  process.exit(2)
}
const result = await dropToReply(Number(runs), (line) => process.stderr.write(`${line}\n`))
process.stdout.write(`${JSON.stringify(result, null, 2)}\n`)
