import { spawn, type ChildProcess } from 'node:child_process'

/**
 * Reads "+ GROUP" and "- GROUP" until its input ends, which it does when whoever writes there has ended, by whatever way;
 * what is on the list then is of no use to anybody.
 */
const script = `
groups=
while read -r word group; do
  case $word in
    +) groups="$groups $group" ;;
    -) rest=; for one in $groups; do [ "$one" = "$group" ] || rest="$rest $one"; done; groups=$rest ;;
  esac
done
for one in $groups; do kill -s TERM -- "-$one"; kill -s CONT -- "-$one"; done 2>/dev/null
tries=0
while [ $tries -lt 10 ]; do
  left=
  for one in $groups; do kill -s 0 -- "-$one" 2>/dev/null && left=yes; done
  [ -z "$left" ] && exit
  sleep 0.1
  tries=$((tries + 1))
done
for one in $groups; do kill -s KILL -- "-$one"; done 2>/dev/null
`

/**
 * A shell beside this process that ends its process groups where this process itself was killed and could not. It is started
 * right after the first of them: to start it takes some milliseconds, which the app would come later by.
 */
export class Guard {
  #shell: ChildProcess | null = null

  start(): void {
    const shell = spawn('/bin/sh', ['-c', script], { stdio: ['pipe', 'ignore', 'ignore'], cwd: '/', detached: true, env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin' } })
    // Without it everything works but for a kill that nobody can hear.
    shell.on('error', () => {})
    shell.stdin.on('error', () => {})
    shell.unref()
    this.#shell = shell
  }

  add(group: number): void {
    this.#shell?.stdin?.write(`+ ${group}\n`)
  }

  remove(group: number): void {
    this.#shell?.stdin?.write(`- ${group}\n`)
  }
}
