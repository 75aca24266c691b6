/** The queue on the page: what waits, and the sender that works by itself. */
import { computed, ref, shallowRef } from 'vue'
import { defineStore } from 'pinia'
import { sessionLost } from '@/api/client'
import { clockOffset, noticeableMs } from './clock'
import type { Entry } from './model'
import { entries, onQueue, retryNow } from './outbox'
import { drain } from './sender'
import { transport } from './transport'

export const useQueue = defineStore('queue', () => {
  const all = shallowRef<Entry[]>([])
  const progress = shallowRef<Record<string, number>>({})
  const sending = ref(false)
  /** Whether the last attempt reached the server; the browser's own word is not trusted alone. */
  const offline = ref(globalThis.navigator?.onLine === false)
  const loggedOut = ref(false)
  /** Server − phone, ms. */
  const offset = ref<number>()
  /** The store itself cannot be used: private mode, or broken. */
  const broken = ref(false)
  const room = ref<{ used: number; total: number }>()

  const waiting = computed(() => all.value.filter((entry) => entry.state === 'waiting'))
  const troubled = computed(() => all.value.filter((entry) => entry.state === 'refused' || entry.state === 'conflict'))
  const sent = computed(() => all.value.filter((entry) => entry.state === 'sent').reverse())
  const clockWrong = computed(() => (Math.abs(offset.value ?? 0) > noticeableMs ? offset.value : undefined))

  let timer: ReturnType<typeof setTimeout> | undefined
  let started = false
  let again = false

  async function read(): Promise<void> {
    try {
      all.value = await entries()
      broken.value = false
    } catch {
      broken.value = true
    }
    offset.value = await clockOffset()
  }

  async function measure(): Promise<void> {
    const estimate = await globalThis.navigator?.storage?.estimate?.().catch(() => undefined)
    if (estimate?.quota) room.value = { used: estimate.usage ?? 0, total: estimate.quota }
  }

  /** Sends now, unless it is being done. */
  async function send(): Promise<void> {
    if (sending.value) {
      again = true
      return
    }
    clearTimeout(timer)
    sending.value = true
    try {
      const drained = await drain(transport)
      if (drained.end !== 'busy') {
        offline.value = drained.end === 'offline'
        loggedOut.value = drained.end === 'login'
        if (drained.end === 'login') sessionLost()
      }
      const pause = drained.end === 'busy' ? 5_000 : drained.nextAt && drained.nextAt - Date.now()
      if (pause !== undefined) timer = setTimeout(() => void send(), Math.max(500, pause))
    } catch {
      timer = setTimeout(() => void send(), 30_000)
    } finally {
      sending.value = false
      await read()
      if (again) {
        again = false
        void send()
      }
    }
  }

  /** Also when the page is closed, where the browser can do that. */
  async function askForBackground(): Promise<void> {
    try {
      const registration = (await navigator.serviceWorker?.getRegistration()) as
        | (ServiceWorkerRegistration & { sync?: { register(tag: string): Promise<void> } })
        | undefined
      await registration?.sync?.register('xuncha-queue')
    } catch {
      // Not offered, or not allowed: then it goes when the app is open.
    }
  }

  /** Called after something was put into the queue. */
  function added(): void {
    void read()
    void send()
    void askForBackground()
  }

  async function sendEverything(): Promise<void> {
    await retryNow()
    await send()
  }

  function start(): void {
    if (started) return
    started = true
    onQueue((word) => {
      if (word.type === 'changed') void read()
      else progress.value = { ...progress.value, [word.id]: word.sent / Math.max(1, word.total) }
    })
    globalThis.addEventListener('online', () => {
      offline.value = false
      void sendEverything()
    })
    globalThis.addEventListener('offline', () => (offline.value = true))
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible') void send()
    })
    // Asks that the browser does not clear the store when the phone gets full.
    void globalThis.navigator?.storage?.persist?.().catch(() => undefined)
    void read().then(send)
    void measure()
  }

  return {
    all, waiting, troubled, sent, progress, sending, offline, loggedOut, offset, clockWrong, broken, room,
    start, send, sendEverything, added, read, measure,
  }
})
