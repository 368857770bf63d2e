// npm run prove [-- canary …]: the proofs at full size.
if (process.argv[2] === 'canary') await import('./prove-canary.ts')
else await import('./prove-swaps.ts')
