/** The promises that are checked after every step; README.md, "Promises", and the design's sections 1, 3 and 4. */
export const invariants = {
  'I1 atomic flip': 'once a release has given a full reply, no request that begins later is picked by an older table',
  'I2 health first': 'no request is picked for a process that has not passed its check, nor reaches a process that is not ours',
  'I3 nothing lost': 'gracer ends no process that has a request in flight or may still be picked, so only faults lose requests',
  'I4 one at a time': 'one flip at a time, and no more processes of a service than the rule allows',
  'I5 epochs': 'only the newest agent changes anything, and table numbers only rise',
  'I6 confirmed only': 'after the master or everything was killed the last confirmed release is what stays',
  'I7 once': 'a drop is deployed by itself once, and a deploy flips once',
  'I8 answers': 'one outcome a swap, one answer a command',
  'I9 no one waits for ever': 'a parked request is decided in bounded time while its worker lives',
  'I10 fallback': 'while a release bakes with a warm release behind it, a failed dial goes there at once',
  'I12 bake': 'a release that was found sick in its bake is not confirmed while the old one is well',
  'I13 alone': 'where the app cannot run twice, it never does',
  'I14 hooks': 'one hook at a time before a boot, each once for a deploy, and none of a release that is not to be any more',
  'I11 no dead targets': 'the first table of a new master names only processes that run',
  'C1 one way': 'whoever has had a full reply of a canary is not sent back to stable, but where the canary is taken back',
  'C2 verdict': 'a canary that was judged to be bad does not go live, but by a person\'s word',
  'C3 judged': 'a canary is in the table only while somebody judges it',
  'L liveness': 'a good build that no fault disturbs is confirmed',
  'Q rest': 'when the faults have ended all comes to rest: one live process, the confirmed one, and the same table everywhere',
} as const

export type Invariant = keyof typeof invariants

export class Violation extends Error {
  readonly invariant: Invariant
  readonly what: string

  constructor(invariant: Invariant, what: string) {
    super(`${invariant}: ${what}`)
    this.name = 'Violation'
    this.invariant = invariant
    this.what = what
  }
}
