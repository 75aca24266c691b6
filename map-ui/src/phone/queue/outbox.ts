/** The queue: what was made here and is not yet with the server. */
import { clockOffset } from './clock'
import { db, type PhoneDb } from './db'
import { sentKeptMs, type Entry, type EntryKind, type EntryLabel, type Photo } from './model'

/** Tells every tab, and the service worker, that the queue changed. */
const channelName = 'xuncha-queue'
export type QueueWord = { type: 'changed' } | { type: 'progress'; id: string; sent: number; total: number }

let channel: BroadcastChannel | undefined
const local = new Set<(word: QueueWord) => void>()

function bus(): BroadcastChannel | undefined {
  if (typeof BroadcastChannel === 'undefined') return undefined
  if (!channel) {
    channel = new BroadcastChannel(channelName)
    channel.onmessage = ({ data }: MessageEvent<QueueWord>) => {
      for (const listener of local) listener(data)
    }
  }
  return channel
}

export function tell(word: QueueWord): void {
  bus()?.postMessage(word)
  for (const listener of local) listener(word)
}

/** Calls back on every change, made here or elsewhere; gives the way to stop. */
export function onQueue(listener: (word: QueueWord) => void): () => void {
  bus()
  local.add(listener)
  return () => local.delete(listener)
}

export interface NewEntry {
  id: string
  kind: EntryKind
  person: string
  caseId?: string
  label: EntryLabel
  body: Record<string, unknown>
  after?: string[]
  madeAt?: number
}

/** A photo on its way: with when and where it was taken, which the server keeps beside it. */
export function photoEntry(photo: Photo, person: string, caseId: string, label: EntryLabel, after: string[]): NewEntry {
  const { lon, lat, accuracy_m } = photo.fix ?? {}
  const body = photo.fix ? { lon, lat, crs: 'wgs84', accuracy_m } : {}
  return { id: photo.id, kind: 'photo', person, caseId, label: { ...label, bytes: photo.bytes }, body, after, madeAt: photo.takenAt }
}

/**
 * Puts entries into the queue, with their photos, all or none; in the order given. What is full
 * throws ({@link isFull}), and then nothing was written.
 */
export async function enqueue(made: NewEntry[], photos: Photo[] = [], draftKey?: string): Promise<void> {
  const store = await db()
  const offset = await clockOffset()
  const transaction = store.transaction(['outbox', 'photos', 'drafts'], 'readwrite', { durability: 'strict' })
  const write = async () => {
    for (const photo of photos) await transaction.objectStore('photos').put(photo)
    for (const entry of made) {
      const madeAt = entry.madeAt ?? Date.now()
      await transaction.objectStore('outbox').add({
        ...entry, after: entry.after ?? [], madeAt, offset, state: 'waiting', attempts: 0, nextAt: 0,
      })
    }
    // The form's content is in the queue now, in the same transaction: never in both or neither.
    if (draftKey) await transaction.objectStore('drafts').delete(draftKey)
  }
  const outcomes = await Promise.allSettled([transaction.done, write()])
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  tell({ type: 'changed' })
}

/** Everything in the queue, oldest first. */
export async function entries(): Promise<Entry[]> {
  return (await db()).getAll('outbox')
}

export async function entryOf(id: string): Promise<Entry | undefined> {
  return (await db()).getFromIndex('outbox', 'id', id)
}

export async function photoOf(id: string): Promise<Photo | undefined> {
  return (await db()).get('photos', id)
}

/** Changes one entry in a transaction of its own; `undefined` from `change` leaves it. */
export async function update(id: string, change: (entry: Entry) => Entry | undefined): Promise<void> {
  const transaction = (await db()).transaction('outbox', 'readwrite', { durability: 'strict' })
  const found = await transaction.store.index('id').get(id)
  const changed = found && change(found)
  if (changed) await transaction.store.put(changed)
  await transaction.done
  if (changed) tell({ type: 'changed' })
}

/** Whether an entry can go: all that it builds on is with the server. */
export function isReady(entry: Entry, all: readonly Entry[]): boolean {
  return entry.after.every((id) => {
    const before = all.find((other) => other.id === id)
    // Sent long ago and forgotten here, or still shown as sent.
    return !before || before.state === 'sent'
  })
}

/** The entries that build on one, directly or through others. */
export function dependents(id: string, all: readonly Entry[]): Entry[] {
  const found = new Map<string, Entry>()
  const visit = (base: string) => {
    for (const entry of all) {
      if (entry.state === 'sent' || found.has(entry.id) || !entry.after.includes(base)) continue
      found.set(entry.id, entry)
      visit(entry.id)
    }
  }
  visit(id)
  return [...found.values()]
}

async function forget(store: PhoneDb, gone: Entry[]): Promise<void> {
  const transaction = store.transaction(['outbox', 'photos'], 'readwrite', { durability: 'strict' })
  for (const entry of gone) {
    if (entry.seq !== undefined) await transaction.objectStore('outbox').delete(entry.seq)
    if (entry.kind === 'photo') await transaction.objectStore('photos').delete(entry.id)
  }
  await transaction.done
  tell({ type: 'changed' })
}

/** Gives an entry up, with all that builds on it. The person has confirmed. */
export async function drop(id: string): Promise<void> {
  const store = await db()
  const all = await store.getAll('outbox')
  const entry = all.find((other) => other.id === id)
  if (entry && entry.state !== 'sent') await forget(store, [entry, ...dependents(id, all)])
}

/** Clears what was delivered a while ago. */
export async function prune(now = Date.now()): Promise<void> {
  const store = await db()
  const all = await store.getAll('outbox')
  const needed = new Set(all.filter((e) => e.state !== 'sent').flatMap((e) => e.after))
  const old = all.filter((e) => e.state === 'sent' && now - (e.sentAt ?? 0) > sentKeptMs && !needed.has(e.id))
  if (old.length) await forget(store, old)
}

/** Tries again at once, whatever the pause. */
export async function retryNow(id?: string): Promise<void> {
  for (const entry of await entries()) {
    if (entry.state === 'sent' || entry.state === 'conflict' || (id && entry.id !== id)) continue
    if (!id && entry.state === 'refused') continue
    await update(entry.id, (e) => ({ ...e, state: 'waiting', nextAt: 0, problem: undefined }))
  }
}

/**
 * After a conflict: the step is still wanted, on the case as it is now. The refused attempt left
 * no trace on the server, so it goes as a new one.
 */
export async function reapply(id: string, version: number): Promise<void> {
  const renewed = globalThis.crypto.randomUUID()
  const transaction = (await db()).transaction('outbox', 'readwrite', { durability: 'strict' })
  for (const entry of await transaction.store.getAll()) {
    if (entry.id === id) {
      const body = { ...entry.body, id: renewed, expected_version: version }
      await transaction.store.put({
        ...entry, id: renewed, body, state: 'waiting', attempts: 0, nextAt: 0, problem: undefined,
      })
    } else if (entry.after.includes(id)) {
      await transaction.store.put({ ...entry, after: entry.after.map((other) => (other === id ? renewed : other)) })
    }
  }
  await transaction.done
  tell({ type: 'changed' })
}
