import { expect, test } from 'vitest'
import { devStart } from '../bench/dev-start.ts'

// The bound in milliseconds is for `npm run bench -- dev-start` on a machine at rest. Beside other tests both take longer,
// and what the second process costs by itself is the measure.
test('the first page comes hardly later than behind any program that starts the app as its child', { timeout: 120_000 }, async () => {
  const { addedMs, floorMs } = await devStart(7)
  expect(addedMs.median).toBeLessThan(2.5 * floorMs.median)
})
