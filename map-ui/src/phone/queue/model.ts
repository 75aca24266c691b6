/** What the phone keeps until the server has it. */
import type { Problem } from '@/api/problem'

export type EntryKind = 'case' | 'photo' | 'action' | 'reply'

/**
 * `waiting`: goes out as soon as it can. `refused`: the server said no, with a reason; a person
 * decides. `conflict`: the case went on in the meantime. `sent`: delivered, shown for a while.
 */
export type EntryState = 'waiting' | 'refused' | 'conflict' | 'sent'

/** Why the server did not take an entry. */
export interface Refusal extends Problem {
  at: number
  /** Of a conflict: what happened since, oldest first, where the answer said so. */
  since?: SinceEvent[]
}

/** A step of the case that this phone had not seen. */
export interface SinceEvent {
  seq?: number
  action: string
  actor?: { name?: string } | null
  at?: string
  text?: string | null
}

/** Words for the list of what waits; kept here so that it can be shown without the body. */
export interface EntryLabel {
  /** Number of the case, when it has one already. */
  number?: string
  nature?: string
  action?: string
  place?: string
  bytes?: number
}

export interface Entry {
  /** Order of making; the key in the store. */
  seq?: number
  /** Made on the phone; the server answers a retry with the first answer. */
  id: string
  kind: EntryKind
  /** Whose it is: nobody else's session sends it. */
  person: string
  caseId?: string
  label: EntryLabel
  body: Record<string, unknown>
  /** Ids that must be with the server before. */
  after: string[]
  /** The phone's clock when it was made, ms. */
  madeAt: number
  /** How far the phone's clock was off then (server − phone, ms), if that was known. */
  offset?: number
  /** The times are in the body; from then on it is sent as it is, byte for byte. */
  sealed?: boolean
  state: EntryState
  attempts: number
  /** Not before, ms of the phone's clock. */
  nextAt: number
  problem?: Refusal
  sentAt?: number
  /** What the server answered, as far as the phone shows it. */
  answer?: Record<string, unknown>
}

/** A photo or paper taken here. The original is kept until the server has it. */
export interface Photo {
  id: string
  name: string
  type: string
  bytes: number
  takenAt: number
  /** Where the phone was, WGS 84. */
  fix?: { lon: number; lat: number; accuracy_m: number }
  /** Untouched, with its EXIF; gone when delivered, or when the phone had no room for it. */
  original?: Blob
  /** At most {@link copyEdge} pixels wide or high: for lists, and where the original found no room. */
  copy?: Blob
  /** Where a resumable upload of it goes on. */
  uploadUrl?: string
  delivered?: boolean
}

/** The longer edge of the copy, pixels. */
export const copyEdge = 1600

/** Delivered entries are shown this long. */
export const sentKeptMs = 3 * 86_400_000

/** What happened to one attempt. */
export type Outcome =
  | { kind: 'sent'; answer?: Record<string, unknown> }
  | { kind: 'offline' }
  | { kind: 'later'; afterMs?: number }
  | { kind: 'login' }
  | { kind: 'conflict'; problem: Refusal }
  | { kind: 'refused'; problem: Refusal }

/** Pause before the next attempt: 2 s, doubled each time, at most five minutes, ± a quarter. */
export function pauseMs(attempts: number, random = Math.random()): number {
  const base = Math.min(2_000 * 2 ** Math.max(0, attempts - 1), 300_000)
  return Math.round(base * (0.75 + random / 2))
}
