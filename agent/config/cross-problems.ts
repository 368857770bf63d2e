import type { ConfigProblem } from './problems.ts'

/** What of a service's values bears on each other. */
export interface CrossChecked {
  readonly releases?: string | null | undefined
  readonly watch?: string | null | undefined
  readonly overlap: boolean
  readonly canary: { readonly steps: readonly unknown[] }
  readonly ports: Readonly<Record<string, 'auto' | number>>
  readonly env: Readonly<Record<string, string>>
}

/** Values that are right each by itself and cannot stand together. `under`: the path of the service's keys, as in 'services.api.'. */
export function crossProblems(values: CrossChecked, under = ''): ConfigProblem[] {
  const problems: ConfigProblem[] = []
  if (values.watch != null && values.releases != null) problems.push({ path: `${under}watch`, message: 'is set beside "releases"; builds come from one of the two, so leave one out' })
  const numbers = new Map<number, string>()
  for (const [name, port] of Object.entries(values.ports)) {
    const path = `${under}ports.${name}`
    if (Object.hasOwn(values.env, name)) problems.push({ path, message: `is in "env" too; it can come from one of the two` })
    if (port === 'auto') continue
    if (values.overlap) problems.push({ path, message: `expected "auto", got ${port}: old and new release run beside each other for a while and cannot both listen on it; "auto" gives each a number of its own, or set "overlap": false` })
    const other = numbers.get(port)
    if (other !== undefined) problems.push({ path, message: `${port} is given to ${other} already` })
    numbers.set(port, name)
  }
  if (!values.overlap && values.canary.steps.length > 0) problems.push({ path: `${under}canary.steps`, message: 'expected none with "overlap": false, because a canary runs beside the old release' })
  return problems
}
