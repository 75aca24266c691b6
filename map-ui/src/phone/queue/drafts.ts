/** Forms survive the tab, the browser and the battery: every change is kept at once. */
import { db, isFull } from './db'
import type { Photo } from './model'

export async function readDraft<T extends object>(key: string, person: string): Promise<T | undefined> {
  const draft = await (await db()).get('drafts', key)
  return draft?.person === person ? (draft.content as T) : undefined
}

/** Whether it found room. */
export async function saveDraft(key: string, person: string, content: object): Promise<boolean> {
  try {
    // Through JSON: what Vue watches cannot be cloned into the store.
    const plain = JSON.parse(JSON.stringify(content)) as Record<string, unknown>
    await (await db()).put('drafts', { key, person, content: plain, savedAt: Date.now() })
    return true
  } catch (error) {
    if (isFull(error)) return false
    throw error
  }
}

export async function dropDraft(key: string): Promise<void> {
  await (await db()).delete('drafts', key)
}

/** Keeps a photo of a form that is not sent yet; whether it found room. */
export async function savePhoto(photo: Photo): Promise<boolean> {
  try {
    await (await db()).put('photos', photo)
    return true
  } catch (error) {
    if (isFull(error)) return false
    throw error
  }
}

export async function dropPhoto(id: string): Promise<void> {
  await (await db()).delete('photos', id)
}

/** The photos of a form: as kept, and what found no room from the page's memory. */
export async function photosFor(ids: readonly string[], held: readonly Photo[]): Promise<Photo[]> {
  const kept = await photosOf(ids)
  return ids.flatMap((id) => kept.find((photo) => photo.id === id) ?? held.find((photo) => photo.id === id) ?? [])
}

export async function photosOf(ids: readonly string[]): Promise<Photo[]> {
  const store = await db()
  const found = await Promise.all(ids.map((id) => store.get('photos', id)))
  return found.filter((photo): photo is Photo => photo !== undefined)
}
