/** The way to the server: JSON for cases and steps, resumable uploads for photos. */
import { DetailedError, Upload } from 'tus-js-client'
import { commonHeaders } from '@/api/client'
import { readProblem, type Problem } from '@/api/problem'
import { noteAnswer } from './clock'
import { db } from './db'
import { FetchStack } from './fetchStack'
import type { Entry, Outcome, Photo, Refusal, SinceEvent } from './model'
import { photoOf, tell } from './outbox'
import type { Transport } from './sender'

/** A mobile network may take its time, but not for ever. */
const patienceMs = 45_000
/** Small enough to get through on a bad line, and to lose little when it breaks. */
const chunkBytes = 512 * 1024

async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  const askedAt = Date.now()
  const response = await fetch(path, {
    ...init,
    credentials: 'same-origin',
    headers: { ...commonHeaders(), ...(init.headers as Record<string, string> | undefined) },
    signal: AbortSignal.timeout(patienceMs),
  })
  noteAnswer(response, askedAt)
  return response
}

async function bodyOf(response: Response): Promise<unknown> {
  const text = await response.text()
  try {
    return text ? JSON.parse(text) : undefined
  } catch {
    return undefined
  }
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

/**
 * What happened since: the refusal lists it as `errors[]` with field `events/{seq}` and words
 * `action · time · who`.
 */
export function sinceOf(problem: Problem): SinceEvent[] {
  return problem.errors.flatMap(({ field, detail }) => {
    const seq = /^events\/(\d+)$/.exec(field)?.[1]
    if (seq === undefined) return []
    const [action = '', at, ...who] = detail.split(' · ')
    return [{ seq: Number(seq), action, at, actor: { name: who.join(' · ') } }]
  })
}

/** What an answer of this status means for an entry. */
export function outcomeOf(status: number, body: unknown, retryAfter: string | null, now = Date.now()): Outcome {
  if (status >= 200 && status < 300) return { kind: 'sent', answer: record(body) }
  const problem: Refusal = { ...readProblem(status, body), at: now }
  if (status === 401 || problem.code === 'password_change_required') return { kind: 'login' }
  if (status === 409 && (problem.code === 'stale_version' || problem.code === 'wrong_state')) {
    const since = sinceOf(problem)
    return { kind: 'conflict', problem: { ...problem, since, errors: since.length ? [] : problem.errors } }
  }
  if (status === 408 || status === 425 || status === 429 || status >= 500) {
    const seconds = Number(retryAfter)
    return { kind: 'later', afterMs: Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : undefined }
  }
  return { kind: 'refused', problem }
}

async function post(path: string, body: unknown): Promise<Outcome> {
  let response: Response
  try {
    const headers = { 'Content-Type': 'application/json' }
    response = await ask(path, { method: 'POST', body: JSON.stringify(body), headers })
  } catch {
    return { kind: 'offline' }
  }
  let answer: unknown
  try {
    answer = await bodyOf(response)
  } catch {
    return { kind: 'offline' } // broke off inside the answer; the id makes the retry harmless
  }
  return outcomeOf(response.status, answer, response.headers.get('retry-after'))
}

/** When and where it was taken, as both kinds of upload tell it. */
function circumstances(entry: Entry): Record<string, string> {
  return Object.fromEntries(Object.entries(entry.body).map(([name, value]) => [name, String(value)]))
}

/** The server has no resumable uploads. */
class NotResumable extends Error {}

async function resumable(entry: Entry, photo: Photo, file: Blob): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error | DetailedError) => {
      const response = error instanceof DetailedError ? error.originalResponse : null
      if (!response) return resolve({ kind: 'offline' })
      const status = response.getStatus()
      const creating = error instanceof DetailedError && error.originalRequest.getMethod() === 'POST'
      if (creating && (status === 404 || status === 405)) return reject(new NotResumable())
      let body: unknown
      try {
        body = JSON.parse(response.getBody())
      } catch {
        body = undefined
      }
      resolve(outcomeOf(status, body, response.getHeader('retry-after') ?? null))
    }
    const upload = new Upload(file, {
      endpoint: '/api/v1/uploads',
      uploadUrl: photo.uploadUrl ?? null,
      httpStack: new FetchStack(),
      headers: commonHeaders(),
      chunkSize: chunkBytes,
      // The queue has its own pauses; the address of the upload is kept with the photo.
      retryDelays: null,
      storeFingerprintForResuming: false,
      metadata: {
        id: entry.id,
        case_id: entry.caseId ?? '',
        filename: photo.name,
        filetype: photo.type,
        ...circumstances(entry),
      },
      onUploadUrlAvailable: () => {
        if (upload.url) void db().then((store) => store.put('photos', { ...photo, uploadUrl: upload.url ?? undefined }))
      },
      onChunkComplete: (_size, sent, total) => tell({ type: 'progress', id: entry.id, sent, total }),
      onError: failed,
      onSuccess: () => resolve({ kind: 'sent' }),
    })
    upload.start()
  })
}

async function multipart(entry: Entry, photo: Photo, file: Blob): Promise<Outcome> {
  const form = new FormData()
  form.append('id', entry.id)
  for (const [name, value] of Object.entries(circumstances(entry))) form.append(name, value)
  form.append('file', file, photo.name)
  try {
    const path = `/api/v1/cases/${entry.caseId}/attachments`
    const response = await fetch(path, { method: 'POST', body: form, credentials: 'same-origin', headers: commonHeaders() })
    return outcomeOf(response.status, await bodyOf(response), response.headers.get('retry-after'))
  } catch {
    return { kind: 'offline' }
  }
}

let resumableThere = true

async function sendPhoto(entry: Entry): Promise<Outcome> {
  const photo = await photoOf(entry.id)
  const file = photo?.original ?? photo?.copy
  // Nothing left to send, e.g. the browser's store was cleared by hand in part.
  if (!photo || !file) {
    const problem = { status: 0, code: 'photo_gone', title: '', errors: [], at: Date.now() }
    return { kind: 'refused', problem }
  }
  if (resumableThere) {
    try {
      return await resumable(entry, photo, file)
    } catch (error) {
      if (!(error instanceof NotResumable)) throw error
      resumableThere = false
    }
  }
  return multipart(entry, photo, file)
}

export const transport: Transport = {
  async who() {
    try {
      const response = await ask('/api/v1/me')
      if (response.status === 401) return { kind: 'login' }
      if (!response.ok) return { kind: 'later' }
      const me = record(await bodyOf(response))
      if (me.must_change_password === true) return { kind: 'login' }
      return typeof me.id === 'string' ? { kind: 'person', id: me.id } : { kind: 'later' }
    } catch {
      return { kind: 'offline' }
    }
  },
  async send(entry) {
    switch (entry.kind) {
      case 'case':
        return post('/api/v1/cases', entry.body)
      case 'action':
        return post(`/api/v1/cases/${entry.caseId}/actions`, entry.body)
      case 'reply':
        return post(`/api/v1/messages/${String(entry.body.message_id)}/reply`, { id: entry.id, text: entry.body.text })
      case 'photo':
        return sendPhoto(entry)
    }
  },
}
