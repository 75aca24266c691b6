/** The API client, typed by the server's OpenAPI document. */
import createClient from 'openapi-fetch'
import type { paths } from './schema'
import { ProblemError, readProblem } from './problem'

/** Whether the log-in is being asked for again. */
type Listener = () => boolean
const lost = new Set<Listener>()
const waiting = new Set<() => void>()

/** Calls back whenever the server no longer knows our session. */
export function onSessionLost(listener: Listener): void {
  lost.add(listener)
}

/**
 * Tells the listeners of {@link onSessionLost}. Whether it is worth to wait for
 * {@link sessionBack}: nobody asks for a log-in where nobody was logged in.
 */
export function sessionLost(): boolean {
  return [...lost].map((listener) => listener()).some(Boolean)
}

/** Resolves once somebody is logged in again. */
export function sessionBack(signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = () => {
      waiting.delete(done)
      resolve()
    }
    waiting.add(done)
    signal?.addEventListener('abort', () => {
      waiting.delete(done)
      reject(signal.reason as Error)
    })
  })
}

/** Lets every request go on that waits for the log-in. */
export function sessionRegained(): void {
  for (const go of [...waiting]) go()
}

let language = 'zh'

/** The language in which the server words its refusals. */
export function speak(locale: string): void {
  language = locale
}

/** Headers every request carries, also those that MapLibre or the uploader send. */
export function commonHeaders(): Record<string, string> {
  return { 'Accept-Language': language }
}

export const api = createClient<paths>({
  baseUrl: globalThis.location?.origin ?? '',
  credentials: 'same-origin',
  // Looked up at call time, so that a test can stand in for the network.
  fetch: async (request) => {
    const again = request.clone()
    const response = await globalThis.fetch(request)
    const own = new URL(request.url).pathname.startsWith('/api/v1/session')
    if (response.status !== 401 || own || !sessionLost()) return response
    // The dialog asks for the log-in; then the same request goes out again and nothing is lost.
    await sessionBack(request.signal)
    return globalThis.fetch(again)
  },
})

api.use({
  onRequest({ request }) {
    for (const [name, value] of Object.entries(commonHeaders())) request.headers.set(name, value)
    return request
  },
})

interface Answer<T> {
  data?: T
  error?: unknown
  response: Response
}

/** The data of an answer; throws a {@link ProblemError} when it was refused. */
export async function unwrap<T>(pending: Promise<Answer<T>>): Promise<T> {
  const { data, error, response } = await pending
  if (!response.ok) throw new ProblemError(readProblem(response.status, error))
  return data as T
}
