/**
 * What runs in the page, in old browsers too: it reloads when the code behind the page is another, swaps stylesheets when
 * only those are, and shows at the bottom what is under way. A hidden tab holds no connection (browsers open six to a
 * host) and catches up when it is shown. A page that answers a POST is not reloaded: it would be sent again.
 */
export const liveScript = `(function () {
  if (window.__gracer || !window.EventSource) return
  window.__gracer = true
  var own = document.currentScript ? document.currentScript.dataset : {}
  var key = own.key, stream = null, badge = null, timer = null
  function say(text, act) {
    clearTimeout(timer)
    if (!text) { if (badge) badge.remove(); badge = null; return }
    timer = setTimeout(function () {
      if (!badge) {
        badge = document.createElement('div')
        badge.setAttribute('role', 'status')
        badge.style.cssText = 'position:fixed;z-index:2147483647;right:12px;bottom:12px;padding:6px 12px;border-radius:6px;background:#222;color:#fff;font:13px/1.4 system-ui,sans-serif;opacity:.9;cursor:' + (act ? 'pointer' : 'default')
        document.documentElement.appendChild(badge)
      }
      badge.textContent = text
      badge.onclick = act || null
    }, act ? 0 : 300)
  }
  function swapStyles() {
    var links = document.querySelectorAll('link[rel~="stylesheet"][href]')
    Array.prototype.forEach.call(links, function (link) {
      var address = new URL(link.href, location.href)
      if (address.origin !== location.origin) return
      address.searchParams.set('gracer', key)
      var next = link.cloneNode()
      next.href = address.href
      next.onload = function () { link.remove() }
      next.onerror = function () { location.reload() }
      link.parentNode.insertBefore(next, link.nextSibling)
    })
    window.dispatchEvent(new CustomEvent('gracer:styles'))
  }
  function hear(state) {
    if (state.busy) { say(state.busy); return }
    if (state.key === key) { say(null); return }
    if (state.stylesFrom === key) { key = state.key; say(null); swapStyles(); return }
    if (own.method === 'GET' || own.method === 'HEAD') location.reload()
    else { key = state.key; say('The code has changed. Click to send the form again.', function () { location.reload() }) }
  }
  function open() {
    if (stream) return
    stream = new EventSource('/__gracer/events')
    stream.onmessage = function (event) { hear(JSON.parse(event.data)) }
  }
  function close() { if (stream) stream.close(); stream = null }
  document.addEventListener('visibilitychange', function () { if (document.hidden) close(); else open() })
  window.addEventListener('pagehide', close)
  window.addEventListener('pageshow', function () { if (!document.hidden) open() })
  if (!document.hidden) open()
})()
`
