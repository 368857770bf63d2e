/** What bundlers give a hash in its name. No HTML and no JSON: those are pages and answers, and may differ by who asks. */
const assetEnding = /\.(?:js|mjs|cjs|css|wasm|map|woff2?|ttf|otf|eot|svg|png|jpe?g|gif|webp|avif|ico|mp[34]|webm|ogg)$/i
/** Stands between the hash and the ending: `main.3f2a1b4c.chunk.js`, `app.3f2a1b4c.min.css.map`. */
const between = /\.(?:js|mjs|cjs|css|wasm|chunk|min|bundle|async|module|worker|legacy|esm)$/i
/** Hexadecimal, as of webpack, Parcel, Sprockets: with a digit, which words have not. */
const hexadecimal = /^(?=.*\d)[0-9a-f]{8,64}$/
/** Letters and digits of any case, as of Vite, Rollup and esbuild: not a word, not a version. */
const letters = /^[A-Za-z0-9]{8,64}$/
/** Vite's and Rollup's eight characters may hold `-` and `_` too. */
const eight = /[-._]([A-Za-z0-9_-]{8})$/

/**
 * Whether the last segment of a path names a file with a hash of what is in it, so that whoever still has it has the same.
 * `path`: as it came, without the query.
 */
export function isHashedAsset(path: string): boolean {
  let name = path.slice(path.lastIndexOf('/') + 1)
  if (!assetEnding.test(name)) return false
  name = name.replace(assetEnding, '')
  while (between.test(name)) name = name.replace(between, '')
  const last = eight.exec(name)?.[1]
  if (last !== undefined && looksDrawn(last)) return true
  return name.split(/[-._~]/).some((part) => hexadecimal.test(part) || (letters.test(part) && looksDrawn(part)))
}

/**
 * Whether characters look drawn by lot: capitals and digits, or small letters with capitals or digits in their midst.
 * `Migrate4`, `lodash4x` and `LocalStorage` could be names; what is taken for a hash by mistake costs one look at a release
 * that was live a moment ago.
 */
function looksDrawn(text: string): boolean {
  const [capitals, small, digits] = [/[A-Z]/.test(text), /[a-z]/.test(text), /\d/.test(text)]
  if (capitals && small) return digits || /[a-z][A-Z]/.test(text)
  return capitals && /^[A-Z2-7]{8}$/.test(text)
}

/** Whether the reply to a request for such a file is that file: an app that answers every path with its page has it not. */
export function isAssetReply(status: number, fields: readonly string[]): boolean {
  if (status === 304) return true
  if (status !== 200 && status !== 206) return false
  for (let at = 0; at < fields.length; at += 2) {
    if ((fields[at] as string).toLowerCase() === 'content-type') return !/^(?:text\/html|application\/xhtml\+xml)\b/i.test(fields[at + 1] as string)
  }
  return true
}
