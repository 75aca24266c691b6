/** The patch on the page: read once, fetched again when it is old or boundaries changed. */
import { ref, shallowRef } from 'vue'
import { defineStore } from 'pinia'
import { useSession } from '@/session/store'
import { isFull } from '../queue/db'
import type { KeptArea, PatchFact } from './model'
import { downloadPatch, keptPatch, patchAreas, placeIn, type LocalPlace } from './patch'

const freshMs = 24 * 3_600_000

export const usePatch = defineStore('patch', () => {
  const areas = shallowRef<KeptArea[]>([])
  const patch = shallowRef<PatchFact>()
  const busy = ref(false)
  const error = shallowRef<unknown>()
  const full = ref(false)

  async function read(): Promise<void> {
    try {
      patch.value = await keptPatch()
      areas.value = await patchAreas()
    } catch (cause) {
      error.value = cause
    }
  }

  async function refresh(): Promise<void> {
    const me = useSession().me
    if (!me || busy.value) return
    busy.value = true
    error.value = undefined
    full.value = false
    try {
      if (await downloadPatch(me)) await read()
    } catch (cause) {
      if (isFull(cause)) full.value = true
      else error.value = cause
    } finally {
      busy.value = false
    }
  }

  /** At the start of the app. */
  async function begin(): Promise<void> {
    await read()
    const me = useSession().me
    const stale =
      !patch.value || patch.value.person !== me?.id || patch.value.area_code !== me?.area_code ||
      Date.now() - patch.value.at > freshMs
    if (stale && globalThis.navigator.onLine) await refresh()
  }

  const at = (lon: number, lat: number): LocalPlace => placeIn(areas.value, lon, lat)

  return { areas, patch, busy, error, full, begin, refresh, at }
})
