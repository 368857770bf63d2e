import { prefersJson } from '../../proxy/forward/refusal.ts'
import type { DevFailure } from './failure.ts'

/** What the page needs besides the failure: the tag that makes it go away by itself, '' where that is switched off. */
export type ScriptTag = (method: string) => string

/** The failure for whoever asks: HTML for browsers, JSON where that is preferred, text for all others. */
export function renderFailure(failure: DevFailure, accept: string, script: string): { readonly type: string; readonly text: string } {
  if (prefersJson(accept)) return { type: 'application/json', text: `${JSON.stringify({ error: { status: 500, code: 'new-code-failed', message: failure.title, ...failure } })}\n` }
  if (/text\/html|application\/xhtml/i.test(accept)) return { type: 'text/html; charset=utf-8', text: failureHtml(failure, script) }
  return { type: 'text/plain; charset=utf-8', text: failureText(failure) }
}

export function failureText(failure: DevFailure): string {
  const place = placeText(failure)
  const parts = [
    failure.title,
    failure.error ?? '',
    place === '' ? '' : `${place}\n${failure.source.map((line) => `${line.hit ? '>' : ' '} ${String(line.number).padStart(5)} | ${line.text}`).join('\n')}`,
    failure.hint ?? '',
    failure.output.join('\n'),
    `$ ${failure.command}`,
  ]
  return `${parts.filter((part) => part.trim() !== '').join('\n\n')}\n`
}

function placeText({ place }: DevFailure): string {
  return place === null ? '' : `${place.file}:${place.line}${place.column === null ? '' : `:${place.column}`}`
}

const style = `
:root { color-scheme: light dark }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0; padding: 4vh 5vw; background: #fff; color: #222 }
main { max-width: 60rem; margin: auto }
h1 { font-size: 1.3rem; margin: 0 0 .6rem; border-left: .35rem solid #c0392b; padding-left: .8rem }
.error { font: 600 1rem/1.5 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; color: #c0392b }
pre { font: 13px/1.55 ui-monospace, monospace; background: #f4f4f4; padding: .9rem 1rem; overflow-x: auto; border-radius: .4rem }
.hit { background: #f9dcd8; display: block; margin: 0 -1rem; padding: 0 1rem }
footer { color: #777; font-size: .85rem }
@media (prefers-color-scheme: dark) {
  body { background: #1c1c1e; color: #ddd } pre { background: #2a2a2d } .hit { background: #57312d } .error { color: #ff8a7a }
}`

function failureHtml(failure: DevFailure, script: string): string {
  const source = failure.source.map((line) => {
    const text = `${String(line.number).padStart(5)}  ${escapeHtml(line.text)}`
    return line.hit ? `<span class="hit">${text}</span>` : `${text}\n`
  }).join('')
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="robots" content="noindex">
<title>${escapeHtml(failure.error ?? failure.title)}</title><style>${style}</style></head>
<body><main id="gracer-failure" data-stage="${failure.stage}">
<h1>${escapeHtml(failure.title)}</h1>
${failure.error === null ? '' : `<p class="error">${escapeHtml(failure.error)}</p>`}
${failure.place === null ? '' : `<p><code>${escapeHtml(placeText(failure))}</code></p>`}
${source === '' ? '' : `<pre>${source}</pre>`}
${failure.hint === null ? '' : `<p>${escapeHtml(failure.hint)}</p>`}
${failure.output.length === 0 ? '' : `<pre>${escapeHtml(failure.output.join('\n'))}</pre>`}
<footer><code>${escapeHtml(failure.command)}</code> · gracer dev · this page goes away by itself after the next good save</footer>
</main>${script}</body></html>
`
}

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
