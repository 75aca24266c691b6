/**
 * Requests whose path the generated client does not know, or whose body is no JSON. They share
 * everything else with it: headers, refusals, the lost session.
 */
import { commonHeaders, sessionBack, sessionLost } from './client'
import { ProblemError, readProblem } from './problem'

export type Query = Record<string, string | number | boolean | readonly string[] | null | undefined>

/** `?a=1&b=x,y`; what is empty is left out. */
export function queryText(query: Query = {}): string {
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    const text = Array.isArray(value) ? value.join() : String(value ?? '')
    if (text) search.set(name, text)
  }
  const text = search.toString()
  return text && `?${text}`
}

export interface CallOptions {
  query?: Query
  /** Sent as JSON unless it is a form or a text. */
  body?: unknown
  headers?: Record<string, string>
  signal?: AbortSignal
}

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

/** The answer, whatever its kind. Throws {@link ProblemError} when it was refused. */
export async function send(method: Method, path: string, options: CallOptions = {}): Promise<Response> {
  const { query, body, headers, signal } = options
  const raw = body === undefined || body instanceof FormData || body instanceof Blob || typeof body === 'string'
  const ask = () =>
    fetch(`${path}${queryText(query)}`, {
      method,
      credentials: 'same-origin',
      headers: { ...commonHeaders(), ...(raw ? {} : { 'Content-Type': 'application/json' }), ...headers },
      body: raw ? (body as BodyInit | undefined) : JSON.stringify(body),
      signal,
    })
  let response = await ask()
  if (response.status === 401 && sessionLost()) {
    // The dialog asks for the log-in; then the same request goes out again and nothing is lost.
    await sessionBack(signal)
    response = await ask()
  }
  if (!response.ok) {
    const text = await response.text()
    let read: unknown
    try {
      read = JSON.parse(text)
    } catch {
      read = undefined
    }
    throw new ProblemError(readProblem(response.status, read))
  }
  return response
}

/** The JSON of the answer; `undefined` where there is none. */
export async function call<T>(method: Method, path: string, options: CallOptions = {}): Promise<T> {
  const response = await send(method, path, options)
  const text = await response.text()
  return (text ? JSON.parse(text) : undefined) as T
}

/** Hands an answer to the browser as a file; the server names it, else `name` does. */
export async function download(method: Method, path: string, name: string, options: CallOptions = {}): Promise<void> {
  const response = await send(method, path, options)
  const said = /filename\*?=(?:UTF-8'')?"?([^";]+)"?/i.exec(response.headers.get('content-disposition') ?? '')?.[1]
  save(await response.blob(), said ? decodeURIComponent(said) : name)
}

/** Saves what was made here as a file. */
export function save(content: Blob, name: string): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(content)
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000)
}

/** A page of a list. */
export interface Page<T> {
  items: T[]
  next?: string | null
  total?: number
}
