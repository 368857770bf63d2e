import { expect, test } from 'vitest'

import { afterCrash, failuresAfter } from '../../../inherit/upgrade/restart.ts'

test('a program that crashes again and again is started at growing intervals, and given up at the sixth failure', () => {
  const seen: unknown[] = []
  for (let failures = failuresAfter(0, 50); ; failures = failuresAfter(failures, 50)) {
    const next = afterCrash(failures)
    seen.push(next === 'give-up' ? next : next.delayMs)
    if (next === 'give-up') break
  }
  expect(seen).toEqual([0, 1_000, 2_000, 5_000, 10_000, 'give-up'])
})

test('one that has served for a while begins a new count', () => {
  expect(failuresAfter(4, 10_000)).toBe(1)
})
