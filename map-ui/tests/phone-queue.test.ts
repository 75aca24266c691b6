// @vitest-environment node
import 'fake-indexeddb/auto'
import { IDBFactory } from 'fake-indexeddb'
import { beforeEach, describe, expect, it } from 'vitest'
import { forgetClock, offsetOf } from '@/phone/queue/clock'
import { closeDb, db, isFull } from '@/phone/queue/db'
import { readDraft, saveDraft } from '@/phone/queue/drafts'
import { keep } from '@/phone/queue/keep'
import { leavePhone } from '@/phone/queue/leave'
import { pauseMs, sentKeptMs, type Entry, type Outcome, type Photo } from '@/phone/queue/model'
import { dependents, drop, enqueue, entries, entryOf, prune, reapply, retryNow } from '@/phone/queue/outbox'
import { drain, type Transport } from '@/phone/queue/sender'
import { outcomeOf } from '@/phone/queue/transport'
import { formOfCase } from '@/phone/cases/editAgain'
import { caseEntries, emptyForm } from '@/phone/cases/newCase'
import { emptyStep, stepBody, stepEntries, stepLacks } from '@/phone/cases/stepForm'

const me = 'person-1'
const at = { lon: 119.0078, lat: 25.454, accuracy_m: 8, crs: 'wgs84' as const }

function photo(id: string, bytes = 10): Photo {
  return { id, name: `${id}.jpg`, type: 'image/jpeg', bytes, takenAt: 1, fix: { lon: 119, lat: 25.4, accuracy_m: 6 }, original: new Blob([new Uint8Array(bytes)]), copy: new Blob(['s']) }
}

/** A server that keeps what it took, answers a retry with the first answer, and fails as told. */
class FakeServer implements Transport {
  taken: { id: string; kind: string; body: Record<string, unknown> }[] = []
  script: ('break-before' | 'break-after' | Outcome)[] = []
  person: string | 'offline' | 'login' = me
  version = 1
  running = 0
  atOnce = 0

  async who() {
    if (this.person === 'offline') return { kind: 'offline' as const }
    if (this.person === 'login') return { kind: 'login' as const }
    return { kind: 'person' as const, id: this.person }
  }

  async send(entry: Entry): Promise<Outcome> {
    this.running++
    this.atOnce = Math.max(this.atOnce, this.running)
    await Promise.resolve()
    const next = this.script.shift()
    try {
      if (next === 'break-before') return { kind: 'offline' }
      if (next && next !== 'break-after') return next
      const known = this.taken.find((other) => other.id === entry.id)
      if (known) expect(known.body, 'a retry is the same request').toEqual(entry.body)
      else this.taken.push({ id: entry.id, kind: entry.kind, body: structuredClone(entry.body) })
      if (next === 'break-after') return { kind: 'offline' }
      const answer = { id: entry.caseId, number: '350302-2026-000123', status: 'dispatched', version: this.version++ }
      return { kind: 'sent', answer: entry.kind === 'action' ? { case: answer } : answer }
    } finally {
      this.running--
    }
  }
}

async function reportCase(photos: string[] = ['p1', 'p2']): Promise<string> {
  const form = { ...emptyForm(), nature: 'illegal_construction' as const, photos }
  const taken = photos.map((id) => photo(id))
  await enqueue(caseEntries(form, at, me, '某村', taken), taken)
  return form.id
}

beforeEach(async () => {
  await closeDb()
  globalThis.indexedDB = new IDBFactory()
  forgetClock()
})

describe('the queue', () => {
  it('sends the case before its photos, and lets go of the originals', async () => {
    const id = await reportCase()
    const server = new FakeServer()
    expect(await drain(server)).toMatchObject({ end: 'empty', sent: 3 })
    expect(server.taken.map((one) => one.id)).toEqual([id, 'p1', 'p2'])
    expect(server.taken[1]?.body, 'when and where it was taken').toEqual({
      lon: 119, lat: 25.4, crs: 'wgs84', accuracy_m: 6, observed_at: '1970-01-01T00:00:00.001Z',
    })
    const kept = await (await db()).get('photos', 'p1')
    expect(kept?.original).toBeUndefined()
    expect(kept?.copy).toBeDefined()
    expect(kept?.delivered).toBe(true)
    expect((await entryOf(id))?.answer).toMatchObject({ number: '350302-2026-000123' })
    expect(await drain(server)).toMatchObject({ end: 'empty', sent: 0 })
    expect(server.taken).toHaveLength(3)
  })

  it('survives closing: another start of the app finds and sends it', async () => {
    const id = await reportCase()
    await closeDb() // the tab is gone; IndexedDB stays
    const server = new FakeServer()
    await drain(server)
    expect(server.taken.map((one) => one.id)).toContain(id)
  })

  it('counts once what broke off before or after the server had it', async () => {
    const id = await reportCase(['p1'])
    const server = new FakeServer()
    server.script = ['break-after']
    expect((await drain(server)).end).toBe('offline')
    expect(server.taken).toHaveLength(1)
    server.script = ['break-before']
    expect((await drain(server)).end).toBe('offline')
    expect((await drain(server)).end).toBe('empty')
    expect(server.taken.map((one) => one.id)).toEqual([id, 'p1'])
  })

  it('never has two senders at work', async () => {
    await reportCase(['p1', 'p2', 'p3'])
    const server = new FakeServer()
    const ends = await Promise.all([drain(server), drain(server), drain(server)])
    expect(server.atOnce).toBe(1)
    expect(server.taken).toHaveLength(4)
    expect(ends.filter(({ end }) => end === 'busy')).toHaveLength(2)
  })

  it('leaves the sending to the tab that has the lock', async () => {
    await reportCase([])
    const server = new FakeServer()
    let held = true
    const locks = {
      request: async (_name: string, _options: object, work: (lock: object | null) => unknown) => work(held ? null : {}),
    }
    Object.defineProperty(globalThis, 'navigator', { value: { locks }, configurable: true })
    try {
      expect((await drain(server)).end).toBe('busy')
      expect(server.taken).toHaveLength(0)
      held = false
      expect((await drain(server)).sent).toBe(1)
    } finally {
      Reflect.deleteProperty(globalThis, 'navigator')
    }
  })

  it('keeps everything when the session is lost, and when somebody else logs in', async () => {
    await reportCase([])
    const server = new FakeServer()
    server.person = 'login'
    expect((await drain(server)).end).toBe('login')
    server.person = 'somebody-else'
    expect(await drain(server)).toMatchObject({ end: 'empty', sent: 0 })
    expect(server.taken).toHaveLength(0)
    server.person = me
    expect(await drain(server)).toMatchObject({ sent: 1 })
  })

  it('waits after a failure of the server, longer each time, and goes on with what else there is', async () => {
    const first = await reportCase([])
    const second = await reportCase([])
    const server = new FakeServer()
    server.script = [{ kind: 'later' }]
    const now = 1_000_000
    const drained = await drain(server, () => now)
    expect(server.taken.map((one) => one.id)).toEqual([second])
    expect(drained.nextAt).toBeGreaterThan(now)
    const entry = await entryOf(first)
    expect(entry).toMatchObject({ state: 'waiting', attempts: 1 })
    expect((await drain(server, () => entry?.nextAt ?? 0)).sent).toBe(1)
    expect(pauseMs(1, 0.5)).toBe(2_000)
    expect(pauseMs(4, 0.5)).toBe(16_000)
    expect(pauseMs(40, 0.5)).toBe(300_000)
  })

  it('holds back what builds on a refused case, and gives it up only together', async () => {
    const id = await reportCase(['p1'])
    const server = new FakeServer()
    const problem = { status: 400, code: 'invalid', title: '', detail: '面积过大', errors: [], at: 0 }
    server.script = [{ kind: 'refused', problem }]
    expect((await drain(server)).sent).toBe(0)
    const all = await entries()
    expect(all.map((entry) => entry.state)).toEqual(['refused', 'waiting'])
    expect(dependents(id, all).map((entry) => entry.id)).toEqual(['p1'])
    // Its content comes back into the form under the same id.
    const form = formOfCase(all[0] as Entry, ['p1'])
    expect(form).toMatchObject({ id, nature: 'illegal_construction', photos: ['p1'], fix: { lon: at.lon, lat: at.lat } })
    await drop(id)
    expect(await entries()).toHaveLength(0)
    expect(await (await db()).get('photos', 'p1')).toBeUndefined()
  })

  it('tries a refused one again when asked', async () => {
    const id = await reportCase([])
    const server = new FakeServer()
    server.script = [{ kind: 'refused', problem: { status: 403, code: 'role_forbidden', title: '', errors: [], at: 0 } }]
    await drain(server)
    await retryNow()
    expect((await entryOf(id))?.state, 'not by itself').toBe('refused')
    await retryNow(id)
    expect((await drain(server)).sent).toBe(1)
  })

  it('forgets what was delivered after three days, not before', async () => {
    const id = await reportCase([])
    await drain(new FakeServer())
    await prune(Date.now() + sentKeptMs - 60_000)
    expect(await entryOf(id)).toBeDefined()
    await prune(Date.now() + sentKeptMs + 60_000)
    expect(await entryOf(id)).toBeUndefined()
  })
})

describe('steps on a case', () => {
  const step = async (id: string, caseId: string, version: number, earlier: Entry[], photos: Photo[] = []) => {
    const body = stepBody(id, 'patrol_record', { ...emptyStep(), text: '到场', photos: photos.map((p) => p.id) }, at, version)
    await enqueue(stepEntries(id, body, { caseId, person: me, number: 'N', earlier, photos }), photos)
  }

  it('brings photos before the step, and each step on the version the one before made', async () => {
    const caseId = await reportCase([])
    await step('s1', caseId, 0, (await entries()).filter((e) => e.state !== 'sent'), [photo('q1')])
    await step('s2', caseId, 0, (await entries()).filter((e) => e.kind !== 'photo'))
    const server = new FakeServer()
    server.version = 5
    await drain(server)
    expect(server.taken.map((one) => one.id)).toEqual([caseId, 'q1', 's1', 's2'])
    expect(server.taken[2]?.body.expected_version).toBe(5)
    expect(server.taken[2]?.body.attachments).toEqual(['q1'])
    expect(server.taken[3]?.body.expected_version).toBe(7)
  })

  it('shows a conflict and applies the step anew on the case as it is', async () => {
    await step('s1', 'case-1', 3, [])
    const server = new FakeServer()
    const answer = {
      code: 'stale_version',
      title: '案件已更新',
      errors: [{ field: 'events/4', detail: 'stop_order · 2026-11-23T01:00:00Z · 张三' }],
    }
    server.script = [outcomeOf(409, answer, null)]
    await drain(server)
    const stuck = await entryOf('s1')
    expect(stuck?.state).toBe('conflict')
    expect(stuck?.problem?.since).toEqual([
      { seq: 4, action: 'stop_order', at: '2026-11-23T01:00:00Z', actor: { name: '张三' } },
    ])
    await reapply('s1', 4)
    const renewed = (await entries())[0]
    expect(renewed?.id).not.toBe('s1')
    expect(renewed?.body).toMatchObject({ id: renewed?.id, expected_version: 4, text: '到场' })
    expect((await drain(server)).sent).toBe(1)
  })

  it('says what a step still lacks', () => {
    const offer = { action: 'apply_close', needs: ['outcome', 'demolished_if_so', 'photos'] }
    const form = emptyStep()
    expect(stepLacks(form, offer)).toBe('evidence')
    form.photos = ['p']
    expect(stepLacks(form, offer)).toBe('outcome')
    form.outcome = 'demolished'
    expect(stepLacks(form, offer)).toBe('demolished_m2')
    form.demolished = 20
    expect(stepLacks(form, offer)).toBeUndefined()
  })
})

describe('the clock', () => {
  it('is learned from the Date header, to half a second', () => {
    const server = Date.parse('2026-11-23T08:00:00Z')
    expect(offsetOf('Mon, 23 Nov 2026 08:00:00 GMT', server - 86_400_000, server - 86_400_000 + 200)).toBe(86_400_400)
    expect(offsetOf(null, 0, 0)).toBeUndefined()
    expect(offsetOf('nonsense', 0, 0)).toBeUndefined()
  })

  it('corrects the time of a step made a day off, and keeps it on every attempt', async () => {
    const madeAt = Date.parse('2026-11-22T08:00:00Z')
    const entry = { id: 'c', kind: 'case' as const, person: me, caseId: 'c', label: {}, body: { id: 'c' }, madeAt }
    await enqueue([entry])
    await (await db()).put('outbox', { ...((await entryOf('c')) as Entry), offset: 86_400_000 })
    const server = new FakeServer()
    server.script = ['break-after']
    await drain(server)
    await drain(server)
    expect(server.taken).toHaveLength(1)
    expect(server.taken[0]?.body.observed_at).toBe('2026-11-23T08:00:00.000Z')
  })
})

describe('answers of the server', () => {
  it.each([
    [201, {}, 'sent'],
    [401, {}, 'login'],
    [403, { code: 'password_change_required' }, 'login'],
    [403, { code: 'role_forbidden' }, 'refused'],
    [409, { code: 'stale_version' }, 'conflict'],
    [409, { code: 'wrong_state' }, 'conflict'],
    [409, { code: 'id_taken' }, 'refused'],
    [422, { code: 'missing_evidence' }, 'refused'],
    [429, {}, 'later'],
    [503, {}, 'later'],
  ])('%d %o means %s', (status, body, kind) => {
    expect(outcomeOf(status, body, null).kind).toBe(kind)
  })

  it('waits as long as the server asks', () => {
    expect(outcomeOf(429, {}, '30')).toEqual({ kind: 'later', afterMs: 30_000 })
  })
})

describe('a full phone', () => {
  /** Lets the store take so many bytes of photos. */
  async function limit(bytes: number): Promise<void> {
    await db()
    const real = globalThis.IDBObjectStore.prototype.put
    globalThis.IDBObjectStore.prototype.put = function (this: IDBObjectStore, value: Photo, key?: IDBValidKey) {
      if (this.name === 'photos') {
        const size = (value.original?.size ?? 0) + (value.copy?.size ?? 0)
        if (size > bytes) throw new DOMException('no room', 'QuotaExceededError')
      }
      return real.call(this, value, key)
    } as typeof real
    restore = () => (globalThis.IDBObjectStore.prototype.put = real)
  }
  let restore = () => undefined as unknown
  const form = () => ({ ...emptyForm(), nature: 'both' as const, photos: ['big'] })

  it('keeps the small copy where the original finds no room, and says so', async () => {
    await limit(100)
    try {
      expect(await keep(caseEntries(form(), at, me, '', [photo('big', 5_000)]), [photo('big', 5_000)])).toBe('light')
    } finally {
      restore()
    }
    const kept = await (await db()).get('photos', 'big')
    expect(kept?.original).toBeUndefined()
    expect(kept?.copy).toBeDefined()
    expect(await entries()).toHaveLength(2)
  })

  it('writes nothing at all where nothing fits, and leaves the draft', async () => {
    const filled = form()
    await saveDraft('new', me, filled)
    await limit(0)
    try {
      expect(await keep(caseEntries(filled, at, me, '', []), [photo('big', 5_000)], 'new')).toBe('full')
    } finally {
      restore()
    }
    expect(await entries()).toHaveLength(0)
    expect(await readDraft('new', me)).toMatchObject({ id: filled.id, nature: 'both' })
  })

  it('knows a full store from other troubles', () => {
    expect(isFull(new DOMException('', 'QuotaExceededError'))).toBe(true)
    expect(isFull(new Error('disk is full'))).toBe(true)
    expect(isFull(new TypeError('broken'))).toBe(false)
  })
})

describe('drafts and leaving', () => {
  it('belong to their person, and go in the same breath as the entry comes', async () => {
    await saveDraft('new', me, { text: '写到一半' })
    expect(await readDraft('new', 'somebody-else')).toBeUndefined()
    expect(await readDraft('new', me)).toEqual({ text: '写到一半' })
    const form = { ...emptyForm(), nature: 'both' as const }
    expect(await keep(caseEntries(form, at, me, '', []), [], 'new')).toBe('kept')
    expect(await readDraft('new', me)).toBeUndefined()
    expect(await entryOf(form.id)).toBeDefined()
  })

  it('leaves after the log-out only what is not delivered', async () => {
    await reportCase(['old'])
    await drain(new FakeServer())
    const id = await reportCase(['waiting'])
    await (await db()).put('photos', photo('of-a-draft'))
    await saveDraft('new', me, { photos: ['of-a-draft'] })
    await leavePhone()
    expect((await entries()).map((entry) => entry.id)).toEqual([id, 'waiting'])
    expect((await (await db()).getAllKeys('photos')).sort()).toEqual(['of-a-draft', 'waiting'])
  })
})
