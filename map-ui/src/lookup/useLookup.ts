/** One look-up at a time: a later question replaces the one still under way. */
import { ref, shallowRef } from 'vue'
import { api, unwrap } from '@/api/client'
import type { LookupAnswer, LookupQuery } from '@/api/types'

export function useLookup() {
  const answer = shallowRef<LookupAnswer>()
  const error = shallowRef<unknown>()
  const busy = ref(false)
  let asking: AbortController | undefined

  async function ask(query: LookupQuery): Promise<LookupAnswer | undefined> {
    asking?.abort()
    const mine = new AbortController()
    asking = mine
    busy.value = true
    error.value = undefined
    try {
      const found = await unwrap(api.GET('/api/v1/lookup', { params: { query }, signal: mine.signal }))
      if (asking === mine) answer.value = found
      return found
    } catch (cause) {
      if (asking === mine) {
        answer.value = undefined
        error.value = cause
      }
      return undefined
    } finally {
      if (asking === mine) busy.value = false
    }
  }

  function clear(): void {
    asking?.abort()
    asking = undefined
    answer.value = undefined
    error.value = undefined
    busy.value = false
  }

  return { answer, error, busy, ask, clear }
}
