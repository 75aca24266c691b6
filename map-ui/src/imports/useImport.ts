/** One import: its report, kept in step while the server works on it. */
import { computed, onScopeDispose, ref, shallowRef, watch } from 'vue'
import { useEvent } from '@/api/events'
import {
  discardImport,
  publishImport,
  readGeometry,
  readImport,
  type ImportGeometry,
  type ImportReport,
} from '@/api/imports'

/** For when the event stream is down. */
const pollMs = 3000

export function useImport(id: () => string | undefined) {
  const report = shallowRef<ImportReport>()
  const geometry = shallowRef<ImportGeometry>()
  const error = shallowRef<unknown>()
  const progress = ref(0)
  const working = computed(() => report.value?.state === 'reading')
  let timer: ReturnType<typeof setInterval> | undefined

  async function load(): Promise<void> {
    const wanted = id()
    if (!wanted) return
    try {
      const found = await readImport(wanted)
      if (wanted !== id()) return
      error.value = undefined
      progress.value = Math.max(progress.value, found.progress ?? 0)
      report.value = found
      if (found.state === 'ready' || found.state === 'published') await loadGeometry(wanted)
    } catch (cause) {
      if (wanted === id()) error.value = cause
    }
  }

  async function loadGeometry(wanted: string): Promise<void> {
    if (geometry.value) return
    const found = await readGeometry(wanted)
    if (wanted === id()) geometry.value = found
  }

  async function publish(acceptRejected: boolean): Promise<void> {
    await publishImport(id() ?? '', acceptRejected)
    await load()
  }

  async function discard(): Promise<void> {
    await discardImport(id() ?? '')
    await load()
  }

  watch(
    id,
    () => {
      report.value = geometry.value = error.value = undefined
      progress.value = 0
      void load()
    },
    { immediate: true },
  )
  watch(working, (busy) => {
    clearInterval(timer)
    if (busy) timer = setInterval(load, pollMs)
  })
  useEvent('import', (event) => {
    if (event.id !== id()) return
    progress.value = Math.max(progress.value, event.progress ?? 0)
    if (event.state !== report.value?.state) void load()
  })
  useEvent('reload', () => void load())
  onScopeDispose(() => clearInterval(timer))

  return { report, geometry, error, progress, working, load, publish, discard }
}
