// Shows faces as they come: docs/live.md. The server sends it without comments and needless spaces, in under 2 KB.
(() => {
  let doc = document, { src, dataset } = doc.currentScript, base = new URL('.', src), all = {}
  // How many streams are open. HTTP/1.1 has six connections, and the images need some of them.
  let open = 0
  let put = (url, key, to) => (url.searchParams.set(key, to), url)
  // Calls `act` for each image of this server, with its URL, its instance and its canonical JID.
  let each = act => {
    for (let img of doc.images) try {
      let url = new URL(img.src)
      let [, at, jid] = (url.origin + url.pathname).split(base + 'avatar')[1].split('/').map(decodeURIComponent)
      act(img, url, at, jid.toLowerCase().replace(/\.(jpe?g|png|webp)$/, '').replace(/^\+?(\d+)([._:][^@]*)?(?=@|$)/, '$1').replace(/^\d+$/, '$&@c.us').replace('s.whatsapp.net', 'c.us'))
    } catch {}
  }
  // Under its first URL, the browser would keep the old image.
  let swap = (img, id) => {
    let mark = url => put(new URL(url, doc.baseURI), 'v', id).href
    img.srcset &&= img.srcset.replace(/[^\s,]+\/avatar\/\S*[^\s,]/g, mark)
    img.fp = img.src = mark(img.src)
  }
  let listen = (it, name) => {
    let es = it.es = new EventSource(put(new URL(it.live, base), 'last_event_id', it.id || ''))
    open++
    es.onerror = () => {
      if (es.readyState < 2) return
      it.off = 1
      open--
      setTimeout(() => scan(it.off = it.es = 0), 6e4)
      scan()
    }
    for (let kind of ['ready', 'face', 'resync']) es.addEventListener(kind, event => {
      let id = it.id = event.lastEventId, { jid, also } = JSON.parse(event.data)
      if (kind != 'ready') each((img, url, at, own) => at == name && (!jid || [jid, ...also].includes(own)) && swap(img, id))
    })
  }
  // Without events, one image after another is looked at until there is no Retry-After.
  let last = Promise.resolve()
  let look = img => last = last.then(async () => {
    if (doc.hidden || !img.isConnected) return img.fp = 0
    let { headers } = await fetch(img.src, { method: 'HEAD' }), wait = headers.get('retry-after')
    if (wait) setTimeout(look, wait * 1e3, img)
    else swap(img, headers.get('etag'))
  }).catch(() => {})
  let scan = () => doc.hidden || each((img, url, at) => {
    let it = all[at] ||= {}
    // A signature for one face does not let a page listen.
    if (/scope=|^(?!.*sig=)/.test(url.search)) it.live ||= 'live/' + at + url.search
    if (it.es && !it.off) return
    if (self.EventSource && it.live && !it.off && open < 3) listen(it, at)
    else if (img.fp != img.src) img.fp = img.src, look(img)
  })
  for (let live of dataset.live?.match(/\S+/g) || []) all[live.match(/live\/([^?]+)/)[1]] = { live }
  doc.addEventListener('visibilitychange', () => {
    if (doc.hidden) for (let at in all) all[at].es &&= all[at].es.close(open = 0)
    scan()
  })
  new MutationObserver(scan).observe(doc, { subtree: 1, childList: 1, attributeFilter: ['src'] })
  scan()
})()
