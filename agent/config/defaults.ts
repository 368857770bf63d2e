/**
 * Every default in one place, written as it would stand in gracer.json, so that `gracer check` can show it as it is.
 * null: the key has no value unless somebody gives one.
 */
export const defaults = Object.freeze({
  listen: '127.0.0.1:8080',
  workers: 1,
  trustProxy: false,
  limits: Object.freeze({ idle: '75s' }),
  log: Object.freeze({ level: 'info', access: false } as const),
  /** Of `log.access`, where it is on. */
  access: Object.freeze({ sample: 1, query: false, file: null, size: '64MiB', keep: 3 }),
  metrics: Object.freeze({ listen: null }),
  /** Where no key and no flag names it, an existing folder ./releases is taken. */
  releases: null,
  command: null,
  socket: 'auto',
  envFile: null,
  keep: 5,
  settle: '3s',
  health: Object.freeze({
    path: null,
    host: 'localhost',
    expect: '200-299',
    interval: '250ms',
    timeout: '2s',
    successes: 2,
    deadline: '60s',
  }),
  drain: Object.freeze({ timeout: '30s', streams: '30s', upgraded: '30s', spread: '5s', stop: '10s' }),
  bake: '20s',
  bakeRule: Object.freeze({ users: 10, floor: '5%', factor: 3, withoutBaseline: '50%' }),
  onCrashLoop: 'hold',
  overlap: true,
  hooks: Object.freeze({ timeout: '10m' }),
  canary: Object.freeze({
    steps: Object.freeze([] as string[]),
    sticky: 'cookie',
    key: null,
    metrics: Object.freeze(['errors', 'latency'] as const),
    alpha: 0.01,
    tolerance: 1,
    withinRatio: 3,
    withinShare: '1%',
    latency: Object.freeze({ limit: null, warmUp: '30s' }),
    minUnits: 20,
    maxTime: null,
    onInconclusive: 'hold',
    override: Object.freeze({ allow: Object.freeze([] as string[]) }),
    perAddress: 2,
    shadow: null,
  } as const),
  hold: Object.freeze({ timeout: '10s', max: 1000, pace: 100 }),
} as const)
