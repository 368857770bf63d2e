import type { HealthConfig } from '../config/types.ts'

export interface Reply {
  readonly status: number
  readonly location: string | null
}

export interface Judgement {
  readonly healthy: boolean
  /** Worth a warning though healthy, or why it is not. */
  readonly remark: string | null
}

/** Is a reply to the health probe good? Without a path anything below 500 on '/' is, but a redirect earns a warning. */
export function judge(reply: Reply, health: Pick<HealthConfig, 'path' | 'expect'>): Judgement {
  const { status, location } = reply
  const to = location === null ? '' : ` to ${location}`
  if (health.path === null) {
    if (status >= 500) return { healthy: false, remark: `GET / answered ${status}` }
    const redirects = status >= 300 && status < 400
    return { healthy: true, remark: redirects ? `GET / answered ${status}${to}; set health.path to a page that answers 200` : null }
  }
  if (health.expect.some((range) => status >= range.from && status <= range.to)) return { healthy: true, remark: null }
  const expected = health.expect.map((range) => (range.from === range.to ? `${range.from}` : `${range.from}-${range.to}`)).join(', ')
  return { healthy: false, remark: `GET ${health.path} answered ${status}${to}, expected ${expected}` }
}
