import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    pool: 'forks',
    // The machine has two cores and most tests run real processes under load: more files at once only add noise.
    maxWorkers: 2,
  },
})
