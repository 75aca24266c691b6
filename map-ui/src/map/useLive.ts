/** Brings changes on the server to the map while it is open. */
import { onScopeDispose } from 'vue'
import type { Map as MapLibre } from 'maplibre-gl'
import { useEvent } from '@/api/events'

/** Many cases in one second are one refresh. */
const settleMs = 400

export function useLive(map: () => MapLibre | undefined, boundariesChanged: (layer?: string) => void): void {
  const waiting = new Set<string>()
  let timer: ReturnType<typeof setTimeout> | undefined

  const flush = () => {
    timer = undefined
    const target = map()
    for (const source of waiting) if (target?.getSource(source)) target.refreshTiles(source)
    waiting.clear()
  }
  const refresh = (...sources: string[]) => {
    for (const source of sources) waiting.add(source)
    timer ??= setTimeout(flush, settleMs)
  }

  useEvent('case', () => refresh('cases', 'heat'))
  useEvent('boundaries', ({ layer }) => {
    if (layer) refresh(layer)
    boundariesChanged(layer)
  })
  useEvent('reload', () => {
    const sources = Object.keys(map()?.getStyle().sources ?? {})
    refresh(...sources.filter((source) => map()?.getSource(source)?.type === 'vector'))
    boundariesChanged()
  })
  onScopeDispose(() => clearTimeout(timer))
}
