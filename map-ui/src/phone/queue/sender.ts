/**
 * Sends what waits, in order, exactly once in effect: ids are made here, and the server answers a
 * retry with the first answer. Runs in a page or in the service worker, never in two at once.
 */
import { clockOffset } from './clock'
import { db } from './db'
import { pauseMs, type Entry, type Outcome } from './model'
import { entries, isReady, photoOf, prune, tell, update } from './outbox'

/** How entries reach the server; tests put their own in place. */
export interface Transport {
  /** Id of the person whose session this is; asks the server, which also tells its time. */
  who(): Promise<{ kind: 'person'; id: string } | { kind: 'offline' } | { kind: 'later' } | { kind: 'login' }>
  send(entry: Entry): Promise<Outcome>
}

export interface Drained {
  /** Why it stopped. */
  end: 'empty' | 'offline' | 'login' | 'busy'
  sent: number
  /** When to try again, ms of the phone's clock; none when nothing waits that could go. */
  nextAt?: number
}

const lockName = 'xuncha-sender'
let failures = 0
let here = false

/** Across tabs and the service worker by a Web Lock, within this one by a flag. */

async function alone<T>(run: () => Promise<T>): Promise<T | undefined> {
  if (here) return undefined
  here = true
  try {
    const locks = globalThis.navigator?.locks
    // Only on plain HTTP from another machine: there is one page then, and no service worker.
    if (!locks) return await run()
    return (await locks.request(lockName, { ifAvailable: true }, (lock) => (lock ? run() : undefined))) as T | undefined
  } finally {
    here = false
  }
}

/** Times and version go into the body once; every attempt then sends the same. */
async function seal(entry: Entry): Promise<Entry> {
  if (entry.sealed) return entry
  const offset = entry.offset ?? (await clockOffset()) ?? 0
  const body = { ...entry.body }
  if (entry.kind !== 'reply') {
    body.observed_at = new Date(entry.madeAt + offset).toISOString()
  }
  const sealed: Entry = { ...entry, body, sealed: true }
  await update(entry.id, () => sealed)
  return sealed
}

/** A later step on the same case goes on from the version this one made. */
async function passVersionOn(done: Entry, answer: Record<string, unknown> | undefined): Promise<void> {
  if (done.kind !== 'case' && done.kind !== 'action') return
  const held = (done.kind === 'action' ? answer?.case : answer) as { version?: unknown; number?: unknown } | undefined
  if (typeof held?.version !== 'number' || !done.caseId) return
  const { version, number } = held
  for (const entry of await entries()) {
    if (entry.caseId !== done.caseId || entry.state === 'sent' || !entry.after.includes(done.id)) continue
    await update(entry.id, (e) => ({
      ...e,
      label: typeof number === 'string' ? { ...e.label, number } : e.label,
      body: e.kind === 'action' && !e.sealed ? { ...e.body, expected_version: version } : e.body,
    }))
  }
}

/** What of an answer the phone shows later. */
function worthKeeping(entry: Entry, answer: Record<string, unknown> | undefined): Record<string, unknown> | undefined {
  if (!answer || entry.kind === 'photo') return undefined
  const held = (entry.kind === 'action' ? answer.case : answer) as Record<string, unknown> | undefined
  if (!held || typeof held !== 'object') return undefined
  const wanted = ['id', 'number', 'status', 'version', 'place', 'responsible', 'alarms', 'possible_duplicates']
  return Object.fromEntries(wanted.filter((name) => name in held).map((name) => [name, held[name]]))
}

async function settle(entry: Entry, outcome: Outcome, now: number): Promise<void> {
  if (outcome.kind === 'sent') {
    const answer = worthKeeping(entry, outcome.answer)
    await update(entry.id, (e) => {
      const number = typeof answer?.number === 'string' ? answer.number : e.label.number
      const label = { ...e.label, number }
      return { ...e, label, state: 'sent', sentAt: now, answer, body: {}, problem: undefined }
    })
    await passVersionOn(entry, outcome.answer)
    if (entry.kind === 'photo') await release(entry.id)
  } else if (outcome.kind === 'conflict' || outcome.kind === 'refused') {
    // Definitive: nothing of it is with the server, so what comes after correction may differ.
    await update(entry.id, (e) => ({ ...e, state: outcome.kind, problem: outcome.problem, sealed: false }))
  } else {
    const pause = (outcome.kind === 'later' && outcome.afterMs) || pauseMs(entry.attempts + 1)
    await update(entry.id, (e) => ({ ...e, attempts: e.attempts + 1, nextAt: now + pause }))
  }
}

/** The server has the original: the phone keeps the small copy only. */
async function release(id: string): Promise<void> {
  const photo = await photoOf(id)
  if (!photo) return
  delete photo.original
  delete photo.uploadUrl
  await (await db()).put('photos', { ...photo, delivered: true })
}

async function run(transport: Transport, now: () => number): Promise<Drained> {
  await prune(now())
  const waiting = (await entries()).filter((e) => e.state === 'waiting')
  if (!waiting.length) return { end: 'empty', sent: 0 }
  const who = await transport.who()
  if (who.kind === 'login') return { end: 'login', sent: 0 }
  if (who.kind !== 'person') {
    failures++
    return { end: 'offline', sent: 0, nextAt: now() + pauseMs(failures) }
  }
  let sent = 0
  for (;;) {
    const all = await entries()
    const mine = all.filter((e) => e.state === 'waiting' && e.person === who.id && isReady(e, all))
    const entry = mine.find((e) => e.nextAt <= now())
    if (!entry) {
      failures = 0
      const nextAt = mine.length ? Math.min(...mine.map((e) => e.nextAt)) : undefined
      return { end: 'empty', sent, nextAt }
    }
    const outcome = await transport.send(await seal(entry))
    if (outcome.kind === 'login') return { end: 'login', sent }
    if (outcome.kind === 'offline') {
      failures++
      return { end: 'offline', sent, nextAt: now() + pauseMs(failures) }
    }
    await settle(entry, outcome, now())
    if (outcome.kind === 'sent') sent++
  }
}

/** Sends all that can go now. `busy`: another tab is at it. */
export async function drain(transport: Transport, now: () => number = Date.now): Promise<Drained> {
  const drained = await alone(() => run(transport, now))
  if (drained?.sent) tell({ type: 'changed' })
  return drained ?? { end: 'busy', sent: 0 }
}
