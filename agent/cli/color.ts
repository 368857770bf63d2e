/** Text in a color, or as it is. */
export interface Palette {
  good(text: string): string
  bad(text: string): string
  warn(text: string): string
  dim(text: string): string
  strong(text: string): string
}

const esc = '\u001b['

function paint(open: number, close: number): (text: string) => string {
  return (text) => (text === '' ? '' : `${esc}${open}m${text}${esc}${close}m`)
}

const same = (text: string): string => text

export const plain: Palette = { good: same, bad: same, warn: same, dim: same, strong: same }
export const colored: Palette = { good: paint(32, 39), bad: paint(31, 39), warn: paint(33, 39), dim: paint(2, 22), strong: paint(1, 22) }

/**
 * Colors or not, for one stream: --no-color, then FORCE_COLOR (0 and false mean no), then NO_COLOR (any value but the
 * empty one, no-color.org), then whether it is a terminal that is not dumb.
 */
export function wantsColor(flag: boolean, isTty: boolean, env: NodeJS.ProcessEnv): boolean {
  if (!flag) return false
  const forced = env['FORCE_COLOR']
  if (forced !== undefined) return forced !== '0' && forced !== 'false'
  if ((env['NO_COLOR'] ?? '') !== '') return false
  return isTty && env['TERM'] !== 'dumb'
}

export function palette(flag: boolean, stream: { readonly isTTY?: boolean }, env: NodeJS.ProcessEnv = process.env): Palette {
  return wantsColor(flag, stream.isTTY === true, env) ? colored : plain
}
