import type { Command } from 'commander'
import { GracerError } from '../../inherit/gracer-error.ts'
import { buildProgram } from './program.ts'
import { writeData } from './output.ts'

const shells = ['bash', 'zsh', 'fish'] as const
type Shell = (typeof shells)[number]

/** Verbs whose argument names a release: completed by asking the agent, where one runs. */
const takesRelease: ReadonlySet<string> = new Set(['swap', 'rollback', 'explain', 'logs'])
/** What the scripts run for the names: no JSON tool is there for certain. */
const releasesCommand = 'gracer status --json 2>/dev/null | tr "{" "\\n" | sed -n \'s/.*"id":"\\([^"]*\\)".*"name":"\\([^"]*\\)".*/\\1\\n\\2/p; s/.*"id":"\\([^"]*\\)".*"name":null.*/\\1/p\' | sort -u'

/** Prints a script that completes verbs, their options and the names of releases. @throws GracerError 'unknown-shell' (exit 2) */
export async function runCompletion(shell: string): Promise<number> {
  const known = shells.find((one) => one === shell)
  if (known === undefined) throw new GracerError(`expected ${shells.join(', ')}, got ${JSON.stringify(shell)}`, { code: 'unknown-shell', exitCode: 2, hint: 'For example: gracer completion bash > /etc/bash_completion.d/gracer' })
  await writeData(completionScript(known))
  return 0
}

interface Verb {
  readonly name: string
  readonly about: string
  readonly options: readonly { readonly long: string; readonly about: string; readonly takes: boolean; readonly choices: readonly string[] }[]
  readonly words: readonly string[]
}

/** Pure: from the program itself, so that it cannot be out of date. */
export function completionScript(shell: Shell): string {
  const program = buildProgram(() => {})
  const verbs = program.commands.map((command) => verbOf(command))
  const common = verbOf(program).options
  switch (shell) {
    case 'bash':
      return bash(verbs, common)
    case 'zsh':
      return zsh(verbs, common)
    case 'fish':
      return fish(verbs, common)
  }
}

function verbOf(command: Command): Verb {
  return {
    name: command.name(),
    about: command.description(),
    options: command.options.filter((option) => option.long !== undefined && !option.hidden).map((option) => ({
      long: option.long ?? '', about: option.description, takes: option.required || option.optional, choices: option.argChoices ?? [],
    })),
    words: [...command.commands.map((sub) => sub.name()), ...command.registeredArguments.flatMap((argument) => argument.argChoices ?? []), ...(command.name() === 'completion' ? shells : [])],
  }
}

function bash(verbs: readonly Verb[], common: Verb['options']): string {
  const cases = verbs.map((verb) => {
    const words = [...verb.options, ...common].map((option) => option.long).concat(verb.words).join(' ')
    return `    ${verb.name}) words="${words}"${takesRelease.has(verb.name) ? '; [[ $current == -* ]] || words="$words $(_gracer_releases)"' : ''} ;;`
  })
  const choices = verbs.flatMap((verb) => verb.options.filter((option) => option.choices.length > 0).map((option) => `    ${option.long}) COMPREPLY=($(compgen -W "${option.choices.join(' ')}" -- "$current")); return ;;`))
  return `# gracer completion for bash: source it, or put it into a folder that bash-completion reads.
_gracer_releases() { ${releasesCommand}; }
_gracer() {
  local current="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" verb="" word words=""
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    [[ $word == -- ]] && { COMPREPLY=($(compgen -o default -- "$current")); return; }
    case $word in ${verbs.map((verb) => verb.name).join('|')}) verb=$word; break ;; esac
  done
  case $before in
    --config|--state|--releases|--watch|--from) COMPREPLY=($(compgen -f -- "$current")); return ;;
${[...new Set(choices)].join('\n')}
  esac
  case $verb in
    "") words="${[...verbs.map((verb) => verb.name), ...common.map((option) => option.long)].join(' ')}" ;;
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  ${'[[ $verb == swap && $current == */* ]] && COMPREPLY+=($(compgen -f -- "$current"))'}
  return 0
}
complete -o default -F _gracer gracer
`
}

function zsh(verbs: readonly Verb[], common: Verb['options']): string {
  const quote = (text: string): string => text.replace(/'/g, "'\\''").replace(/[[\]:]/g, (character) => `\\${character}`)
  const option = ({ long, about, takes, choices }: Verb['options'][number]): string => `'${long}[${quote(about)}]${takes ? `:value:${choices.length > 0 ? `(${choices.join(' ')})` : '_files'}` : ''}'`
  const cases = verbs.map((verb) => {
    const words = verb.words.length > 0 ? [`'1:word:(${verb.words.join(' ')})'`] : takesRelease.has(verb.name) ? ["'1:release:_gracer_releases'"] : ["'*:file:_files'"]
    return `    ${verb.name}) _arguments ${[...verb.options.map(option), ...common.map(option), ...words].join(' ')} ;;`
  })
  return `#compdef gracer
# gracer completion for zsh: put it as _gracer into a folder of $fpath.
_gracer_releases() { local -a names; names=(\${(f)"$(${releasesCommand})"}); compadd -a names; _files; }
_gracer() {
  local -a verbs
  verbs=(
${verbs.map((verb) => `    '${verb.name}:${quote(verb.about)}'`).join('\n')}
  )
  if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then _describe verb verbs; return; fi
  local verb=$words[2]
  words=("\${(@)words[2,-1]}"); (( CURRENT-- ))
  case $verb in
${cases.join('\n')}
    *) _arguments ${common.map(option).join(' ')} ;;
  esac
}
compdef _gracer gracer
`
}

function fish(verbs: readonly Verb[], common: Verb['options']): string {
  const quote = (text: string): string => `'${text.replace(/\\/g, '\\\\').replace(/'/g, "\\'")}'`
  const names = verbs.map((verb) => verb.name).join(' ')
  const optionLine = (condition: string, { long, about, takes, choices }: Verb['options'][number]): string =>
    `complete -c gracer ${condition}-l ${long.slice(2)} -d ${quote(about)}${takes ? ' -r' : ''}${choices.length > 0 ? ` -f -a ${quote(choices.join(' '))}` : ''}`
  const lines = verbs.flatMap((verb) => {
    const within = `-n '__fish_seen_subcommand_from ${verb.name}' `
    return [
      `complete -c gracer -n 'not __fish_seen_subcommand_from ${names}' -f -a ${verb.name} -d ${quote(verb.about)}`,
      ...verb.options.map((option) => optionLine(within, option)),
      ...(verb.words.length > 0 ? [`complete -c gracer ${within}-f -a ${quote(verb.words.join(' '))}`] : []),
      ...(takesRelease.has(verb.name) ? [`complete -c gracer ${within}-a '(__gracer_releases)'`] : []),
    ]
  })
  return `# gracer completion for fish: put it as gracer.fish into ~/.config/fish/completions.
function __gracer_releases; sh -c ${quote(releasesCommand)}; end
${[...common.map((option) => optionLine('', option)), ...lines].join('\n')}
`
}
