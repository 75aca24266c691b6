/** What stays on the phone after the log-out: only what is not yet with the server, for its owner. */
import { db } from './db'

export async function leavePhone(): Promise<void> {
  const store = await db()
  const transaction = store.transaction(['cases', 'areas', 'facts', 'outbox', 'photos', 'drafts'], 'readwrite')
  await transaction.objectStore('cases').clear()
  await transaction.objectStore('areas').clear()
  for (const key of ['patch', 'tracking']) await transaction.objectStore('facts').delete(key)
  const waiting = new Set<string>()
  for (const entry of await transaction.objectStore('outbox').getAll()) {
    if (entry.state !== 'sent') waiting.add(entry.id)
    else if (entry.seq !== undefined) await transaction.objectStore('outbox').delete(entry.seq)
  }
  for (const { content } of await transaction.objectStore('drafts').getAll()) {
    for (const id of Array.isArray(content.photos) ? (content.photos as string[]) : []) waiting.add(id)
  }
  for (const id of await transaction.objectStore('photos').getAllKeys()) {
    if (!waiting.has(id)) await transaction.objectStore('photos').delete(id)
  }
  await transaction.done
  if ('caches' in globalThis) {
    for (const name of await caches.keys()) if (name.startsWith('xuncha-seen')) await caches.delete(name)
  }
}
