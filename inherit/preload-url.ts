/**
 * What to put behind node's `--import` for a program that does not know this library: a file: URL.
 * From the sources (tests) it is the built file, because a child without a TypeScript loader must be able to run it.
 */
export function preloadUrl(): string {
  const here = import.meta.url
  return new URL(here.endsWith('.ts') ? '../dist/inherit/preload.js' : './preload.js', here).href
}
