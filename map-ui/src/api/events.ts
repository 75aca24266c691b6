/** The server's event stream (`/api/v1/events`), shared by everything on the page. */
import { onScopeDispose } from 'vue'

export interface EventMap {
  /** Boundaries of a layer were published. */
  boundaries: { generation?: number; layer?: string }
  /** A case was made or changed. */
  case: { id: string; number?: string; lon?: number; lat?: number; status?: string; version?: number }
  /** An import got on. */
  import: { id: string; state: string; progress?: number }
  /** People or duties changed. */
  people: Record<string, never>
  /** A message came for us. */
  message: { id?: string; kind?: string; case_id?: string | null }
  /** Events were missed, by a break or by being slow: what they told of has to be fetched. */
  reload: Record<string, never>
}

type Name = keyof EventMap
type Handler<N extends Name> = (event: EventMap[N]) => void

const handlers = new Map<Name, Set<Handler<never>>>()
const remote: Name[] = ['boundaries', 'case', 'import', 'people', 'message', 'reload']
/** After a refusal the browser does not reconnect by itself. */
const retryMs = 5000

let stream: EventSource | undefined
let timer: ReturnType<typeof setTimeout> | undefined
let broken = false

function emit<N extends Name>(name: N, event: EventMap[N]): void {
  for (const handler of handlers.get(name) ?? []) (handler as Handler<N>)(event)
}

function listen(source: EventSource, name: Name): void {
  source.addEventListener(name, (message: MessageEvent<string>) => {
    try {
      emit(name, JSON.parse(message.data) as never)
    } catch {
      // Not for us to understand; the next one may be.
    }
  })
}

/** Opens the stream; called once somebody is logged in. */
export function connectEvents(): void {
  clearTimeout(timer)
  stream?.close()
  const source = new EventSource('/api/v1/events')
  stream = source
  for (const name of remote) listen(source, name)
  source.onopen = () => {
    if (broken) emit('reload', {})
    broken = false
  }
  source.onerror = () => {
    broken = true
    if (source.readyState === EventSource.CLOSED && stream === source) {
      timer = setTimeout(connectEvents, retryMs)
    }
  }
}

/** Closes the stream, at log-out. */
export function disconnectEvents(): void {
  clearTimeout(timer)
  stream?.close()
  stream = undefined
  broken = false
}

/** Calls back on an event for as long as the calling component lives. */
export function useEvent<N extends Name>(name: N, handler: Handler<N>): void {
  const set = handlers.get(name) ?? new Set()
  handlers.set(name, set)
  set.add(handler as Handler<never>)
  onScopeDispose(() => set.delete(handler as Handler<never>))
}
