/** The API client, typed by the server's OpenAPI document. */
import createClient from 'openapi-fetch'
import type { paths } from './schema'
import { ProblemError, readProblem } from './problem'

type Listener = () => void
const lost = new Set<Listener>()

/** Calls back whenever the server no longer knows our session. */
export function onSessionLost(listener: Listener): void {
  lost.add(listener)
}

/** Tells the listeners of {@link onSessionLost}; for requests that do not pass the client. */
export function sessionLost(): void {
  for (const listener of lost) listener()
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
  fetch: (request) => globalThis.fetch(request),
})

api.use({
  onRequest({ request }) {
    for (const [name, value] of Object.entries(commonHeaders())) request.headers.set(name, value)
    return request
  },
  onResponse({ response, schemaPath }) {
    if (response.status === 401 && !schemaPath.startsWith('/api/v1/session')) sessionLost()
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
