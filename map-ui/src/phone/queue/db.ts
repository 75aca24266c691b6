/** The phone's own store (IndexedDB). It outlives the tab, the browser and the battery. */
import { openDB, type DBSchema, type IDBPDatabase } from 'idb'
import type { CaseView } from '../cases/model'
import type { KeptArea } from '../place/model'
import type { TrackPoint } from '../track/model'
import type { Entry, Photo } from './model'

/** A form that is being filled in. */
export interface Draft {
  key: string
  person: string
  content: Record<string, unknown>
  savedAt: number
}

export interface PhoneSchema extends DBSchema {
  outbox: { key: number; value: Entry; indexes: { id: string } }
  photos: { key: string; value: Photo }
  drafts: { key: string; value: Draft }
  areas: { key: string; value: KeptArea }
  cases: { key: string; value: CaseView }
  track: { key: number; value: TrackPoint }
  /** Small things by name: the patch, the clock, who is logged in. */
  facts: { key: string; value: unknown }
}

export type PhoneDb = IDBPDatabase<PhoneSchema>

const name = 'xuncha-phone'
const version = 1

let opened: Promise<PhoneDb> | undefined

export function db(): Promise<PhoneDb> {
  opened ??= openDB<PhoneSchema>(name, version, {
    upgrade(store) {
      const outbox = store.createObjectStore('outbox', { keyPath: 'seq', autoIncrement: true })
      outbox.createIndex('id', 'id', { unique: true })
      store.createObjectStore('photos', { keyPath: 'id' })
      store.createObjectStore('drafts', { keyPath: 'key' })
      store.createObjectStore('areas', { keyPath: 'code' })
      store.createObjectStore('cases', { keyPath: 'id' })
      store.createObjectStore('track', { keyPath: 'seq', autoIncrement: true })
      store.createObjectStore('facts')
    },
    blocking(_current, _blocked, event) {
      // A newer page wants to upgrade the store: this one opens it again when it needs it.
      ;(event.target as IDBDatabase).close()
      opened = undefined
    },
    terminated() {
      opened = undefined
    },
  }).catch((error: unknown) => {
    opened = undefined
    throw error
  })
  return opened
}

/** For tests: the next use opens the store afresh. */
export async function closeDb(): Promise<void> {
  const open = opened
  opened = undefined
  ;(await open)?.close()
}

export async function fact<T>(key: string): Promise<T | undefined> {
  return (await (await db()).get('facts', key)) as T | undefined
}

export async function setFact(key: string, value: unknown): Promise<void> {
  await (await db()).put('facts', value, key)
}

/** The phone has no room left. */
export function isFull(error: unknown): boolean {
  if (!(error instanceof DOMException) && !(error instanceof Error)) return false
  const { name, message } = error
  return name === 'QuotaExceededError' || /quota|disk is full|no space/i.test(message)
}
