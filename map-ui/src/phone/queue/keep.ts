/** Putting things safe when the phone is short of room: what can go goes, what matters stays. */
import { db, isFull } from './db'
import type { Photo } from './model'
import { enqueue, type NewEntry } from './outbox'
import { lighter } from './photo'

/** `light`: only the small copies of the photos found room. `full`: nothing was written. */
export type Kept = 'kept' | 'light' | 'full'

/** Frees what can be fetched again: pictures seen, copies of delivered photos. */
export async function makeRoom(): Promise<void> {
  if ('caches' in globalThis) {
    for (const name of await caches.keys()) if (name.startsWith('xuncha-seen')) await caches.delete(name)
  }
  const store = await db()
  for (const photo of await store.getAll('photos')) if (photo.delivered) await store.delete('photos', photo.id)
}

/** Queues entries and photos; with less room, less of them, and says how much. */
export async function keep(entries: NewEntry[], photos: Photo[], draftKey?: string): Promise<Kept> {
  const light = () => photos.map((photo) => lighter(photo) ?? photo)
  const attempts: [Kept, () => Promise<void>][] = [
    ['kept', () => enqueue(entries, photos, draftKey)],
    ['kept', () => makeRoom().then(() => enqueue(entries, photos, draftKey))],
    ['light', () => enqueue(entries, light(), draftKey)],
  ]
  for (const [kept, attempt] of attempts) {
    try {
      await attempt()
      return kept
    } catch (error) {
      if (!isFull(error)) throw error
    }
  }
  return 'full'
}
