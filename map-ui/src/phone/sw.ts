/// <reference lib="webworker" />
/**
 * The service worker: the phone's pages without signal, pushes, and sending what waits when the
 * line comes back after the app was closed.
 */
import { ExpirationPlugin } from 'workbox-expiration'
import { cleanupOutdatedCaches, createHandlerBoundToURL, precacheAndRoute, type PrecacheEntry } from 'workbox-precaching'
import { NavigationRoute, registerRoute } from 'workbox-routing'
import { CacheFirst } from 'workbox-strategies'
import { drain } from './queue/sender'
import { transport } from './queue/transport'

declare const self: ServiceWorkerGlobalScope & { __WB_MANIFEST: (PrecacheEntry | string)[] }

precacheAndRoute(self.__WB_MANIFEST)
cleanupOutdatedCaches()

// The phone starts from its own copy. A desk asks the server, and falls back without signal.
const page = createHandlerBoundToURL('/index.html')
registerRoute(new NavigationRoute(page, { allowlist: [/^\/phone(\/|$|\?)/] }))
registerRoute(
  new NavigationRoute(
    async (options) => {
      try {
        return await fetch(options.request)
      } catch {
        return page(options)
      }
    },
    { denylist: [/^\/(api|tiles|healthz|readyz|metrics)(\/|$)/, /^\/phone/] },
  ),
)
// What is not precached, above all the map library, from its first use on.
registerRoute(
  ({ url, sameOrigin }) => sameOrigin && url.pathname.startsWith('/assets/'),
  new CacheFirst({
    cacheName: 'xuncha-assets',
    plugins: [new ExpirationPlugin({ maxEntries: 120, maxAgeSeconds: 90 * 86_400, purgeOnQuotaError: true })],
  }),
)
// Photos seen: for the ghost of a re-photograph out in the field. Forgotten at log-out.
registerRoute(
  ({ url, sameOrigin }) => sameOrigin && url.pathname.startsWith('/api/v1/attachments/') && url.searchParams.has('size'),
  new CacheFirst({
    cacheName: 'xuncha-seen',
    plugins: [new ExpirationPlugin({ maxEntries: 200, maxAgeSeconds: 30 * 86_400, purgeOnQuotaError: true })],
  }),
)

self.addEventListener('message', ({ data }) => {
  if ((data as { type?: string } | undefined)?.type === 'SKIP_WAITING') void self.skipWaiting()
})
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()))

interface SyncEvent extends ExtendableEvent {
  readonly tag: string
}
self.addEventListener('sync', (event) => {
  const { tag, waitUntil } = event as SyncEvent
  if (tag !== 'xuncha-queue') return
  const sent = drain(transport).then(({ end }) => {
    // A rejection makes the browser try again later.
    if (end === 'offline') throw new Error('offline')
  })
  waitUntil.call(event, sent)
})

interface Pushed {
  title?: string
  body?: string
  text?: string
  case_id?: string | null
  id?: string
  message_id?: string
}
self.addEventListener('push', (event) => {
  let pushed: Pushed = {}
  try {
    pushed = (event.data?.json() ?? {}) as Pushed
  } catch {
    pushed = { body: event.data?.text() }
  }
  const shown = self.registration.showNotification(pushed.title ?? '巡查', {
    body: pushed.body ?? pushed.text ?? '',
    icon: '/icons/icon-192.png',
    badge: '/icons/badge-96.png',
    lang: 'zh-CN',
    tag: pushed.message_id ?? pushed.id,
    data: { case_id: pushed.case_id },
  })
  event.waitUntil(shown)
})
self.addEventListener('notificationclick', (event) => {
  event.notification.close()
  const id = (event.notification.data as { case_id?: string } | null)?.case_id
  const path = id ? `/phone/cases/${encodeURIComponent(id)}` : '/phone/messages'
  event.waitUntil(
    (async () => {
      const open = await self.clients.matchAll({ type: 'window', includeUncontrolled: true })
      const phone = open.find((client) => new URL(client.url).pathname.startsWith('/phone')) ?? open[0]
      if (!phone) return void (await self.clients.openWindow(path))
      await phone.focus()
      // The page routes there itself: a navigation would throw a form away.
      phone.postMessage({ type: 'open', path })
    })(),
  )
})
