/**
 * Patrol tracking. A page gets no positions in the background, so it tracks while it is open with
 * the screen on, keeps the screen on if the phone allows, and says so.
 */
import { computed, ref } from 'vue'
import { defineStore } from 'pinia'
import { call } from '@/api/call'
import { newId } from '@/api/id'
import { problemOf } from '@/api/problem'
import { useSession } from '@/session/store'
import { clockOffset } from '../queue/clock'
import { db, fact, isFull, setFact } from '../queue/db'
import type { TrackPoint } from './model'

/** One point in this time, ms, or after this many metres. */
const everyMs = 15_000
/** Sent together. */
const batch = 200
const sendEveryMs = 60_000

/** What a batch is on the wire: made once, so that a retry sends the same. */
interface Batch {
  id: string
  person: string
  seqs: number[]
  body: Record<string, unknown>
}
const batchKey = 'track.batch'

export const useTracking = defineStore('tracking', () => {
  const on = ref(false)
  const since = ref<number>()
  const points = ref(0)
  const awake = ref(false)
  const gone = ref(false)
  const full = ref(false)
  const unsupported = computed(() => !('geolocation' in navigator))

  let watching: number | undefined
  let timer: ReturnType<typeof setInterval> | undefined
  let lock: WakeLockSentinel | undefined
  let lastAt = 0
  let sending = false

  async function keepAwake(): Promise<void> {
    try {
      lock = await navigator.wakeLock?.request('screen')
      awake.value = lock !== undefined
      lock?.addEventListener('release', () => (awake.value = false))
    } catch {
      awake.value = false // battery saver: the page says that the screen may go dark
    }
  }

  async function take(position: GeolocationPosition): Promise<void> {
    gone.value = false
    const person = useSession().me?.id
    if (!person || position.timestamp - lastAt < everyMs) return
    lastAt = position.timestamp
    const { longitude, latitude, accuracy } = position.coords
    const point: TrackPoint = { person, lon: longitude, lat: latitude, accuracy_m: accuracy, at: position.timestamp }
    try {
      await (await db()).add('track', point)
      points.value++
    } catch (error) {
      if (!isFull(error)) throw error
      full.value = true
    }
  }

  async function nextBatch(person: string): Promise<Batch | undefined> {
    const kept = await fact<Batch>(batchKey)
    if (kept) return kept.person === person ? kept : undefined
    const store = await db()
    const waiting = (await store.getAll('track', undefined, batch)).filter((point) => point.person === person)
    if (!waiting.length) return undefined
    const offset = (await clockOffset()) ?? 0
    const id = newId()
    const made: Batch = {
      id,
      person,
      seqs: waiting.flatMap((point) => point.seq ?? []),
      body: {
        id,
        crs: 'wgs84',
        points: waiting.map(({ lon, lat, accuracy_m, at }) => ({
          lon, lat, accuracy_m, at: new Date(at + offset).toISOString(),
        })),
      },
    }
    await setFact(batchKey, made)
    return made
  }

  /** Sends what was tracked; what does not get through waits for the next time. */
  async function flush(): Promise<void> {
    const person = useSession().me?.id
    if (!person || sending) return
    sending = true
    try {
      for (let made = await nextBatch(person); made; made = await nextBatch(person)) {
        try {
          await call('POST', '/api/v1/patrol/tracks', { body: made.body })
        } catch (error) {
          const { status } = problemOf(error)
          // Only a definitive refusal lets go of the batch; the next one may be better.
          if (status === 0 || status === 401 || status === 404 || status === 408 || status === 429 || status >= 500) return
        }
        const transaction = (await db()).transaction(['track', 'facts'], 'readwrite')
        for (const seq of made.seqs) await transaction.objectStore('track').delete(seq)
        await transaction.objectStore('facts').delete(batchKey)
        await transaction.done
      }
    } finally {
      sending = false
    }
  }

  function visible(): void {
    if (document.visibilityState === 'visible' && on.value) void keepAwake()
    else void flush()
  }

  async function start(): Promise<void> {
    if (on.value || unsupported.value) return
    on.value = true
    since.value = Date.now()
    points.value = 0
    full.value = false
    lastAt = 0
    await keepAwake()
    watching = navigator.geolocation.watchPosition(
      (position) => void take(position),
      () => (gone.value = true),
      { enableHighAccuracy: true, maximumAge: 5_000, timeout: 60_000 },
    )
    timer = setInterval(() => void flush(), sendEveryMs)
    document.addEventListener('visibilitychange', visible)
    await setFact('tracking', true).catch(() => undefined)
  }

  async function stop(): Promise<void> {
    on.value = false
    if (watching !== undefined) navigator.geolocation.clearWatch(watching)
    watching = undefined
    clearInterval(timer)
    document.removeEventListener('visibilitychange', visible)
    await lock?.release().catch(() => undefined)
    lock = undefined
    await setFact('tracking', false).catch(() => undefined)
    await flush()
  }

  /** After a restart of the app in the middle of a patrol. */
  async function resume(): Promise<void> {
    void flush().catch(() => undefined)
    if (await fact<boolean>('tracking').catch(() => false)) await start()
  }

  return { on, since, points, awake, gone, full, unsupported, start, stop, resume, flush }
})
