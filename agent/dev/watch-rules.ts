import { realpathSync } from 'node:fs'
import { dirname, relative, resolve, sep } from 'node:path'
import type { DevOptions } from './options.ts'
import { programFolder, type DevPlan } from './plan.ts'
import { IgnoreRules } from './watch/ignore-rules.ts'

/** What is watched: the roots, and which paths below them. */
export function watchRules(options: DevOptions, plan: DevPlan): { readonly roots: readonly string[]; readonly rules: IgnoreRules } {
  const named = options.watch.map((path) => real(resolve(options.cwd, path)))
  // Read by gracer itself at each boot, and often named in .gitignore.
  const read = [plan.config.file, plan.service.envFile].filter((path) => path !== null).map(real)
  const roots = named.length === 0 ? [options.cwd] : [...new Set(named)]
  const outside = read.filter((path) => !roots.some((root) => path === root || path.startsWith(root + sep)))
  const rulesWith = (keep: readonly string[]): IgnoreRules => new IgnoreRules({
    folder: options.cwd, ignore: options.ignore, keep: [...read, ...named.filter((path) => path !== options.cwd), ...keep], defaults: true,
  })
  const rules = rulesWith([])
  // A program that runs out of dist/, and that nobody here builds, is watched there.
  const program = options.build === null ? programFolder(plan, options.cwd) : null
  const hidden = program !== null && isHidden(rules, options.cwd, program)
  return { roots: [...roots, ...outside], rules: hidden && program !== null ? rulesWith([program]) : rules }
}

function isHidden(rules: IgnoreRules, folder: string, path: string): boolean {
  if (!path.startsWith(folder + sep)) return false
  for (let at = path; at !== folder; at = dirname(at)) {
    if (rules.ignores(at, true)) return !relative(folder, path).split(sep).includes('node_modules')
  }
  return false
}

function real(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}
