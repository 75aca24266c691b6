/**
 * The server's time. A phone's clock may be wrong by a day; every answer carries the server's in
 * its `Date` header, so times of steps can be told right, and the person can be told.
 */
import { fact, setFact } from './db'

/** Below this a difference is the network's, not the clock's. */
export const noticeableMs = 120_000

const key = 'clock'
let known: number | undefined

/** Server − phone, ms, from an answer and when it was asked for; `undefined` without a date. */
export function offsetOf(date: string | null, askedAt: number, answeredAt: number): number | undefined {
  const server = date ? Date.parse(date) : NaN
  // The header has whole seconds: half of one is added, as it is cut and not rounded.
  return Number.isNaN(server) ? undefined : Math.round(server + 500 - (askedAt + answeredAt) / 2)
}

/** Learns from an answer of our server. */
export function noteAnswer(response: Response, askedAt: number, answeredAt = Date.now()): void {
  const offset = offsetOf(response.headers.get('date'), askedAt, answeredAt)
  if (offset === undefined) return
  const changed = known === undefined || Math.abs(offset - known) > 1_500
  known = offset
  if (changed) void setFact(key, offset).catch(() => undefined)
}

/** Server − phone, ms; what was learned last, also before this start. */
export async function clockOffset(): Promise<number | undefined> {
  known ??= await fact<number>(key).catch(() => undefined)
  return known
}

/** For tests. */
export function forgetClock(): void {
  known = undefined
}
