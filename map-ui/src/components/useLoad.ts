/** Loads something once or again; a later call replaces the one still under way. */
import { onScopeDispose, ref, shallowRef, type Ref, type ShallowRef } from 'vue'

export interface Loading<T, A extends unknown[]> {
  data: ShallowRef<T | undefined>
  error: ShallowRef<unknown>
  busy: Ref<boolean>
  run: (...args: A) => Promise<T | undefined>
}

export function useLoad<T, A extends unknown[] = []>(
  load: (signal: AbortSignal, ...args: A) => Promise<T>,
): Loading<T, A> {
  const data = shallowRef<T>()
  const error = shallowRef<unknown>()
  const busy = ref(false)
  let current: AbortController | undefined

  async function run(...args: A): Promise<T | undefined> {
    current?.abort()
    const mine = new AbortController()
    current = mine
    busy.value = true
    try {
      const found = await load(mine.signal, ...args)
      if (current !== mine) return undefined
      error.value = undefined
      data.value = found
      return found
    } catch (cause) {
      if (current === mine) error.value = cause
      return undefined
    } finally {
      if (current === mine) busy.value = false
    }
  }

  onScopeDispose(() => current?.abort())
  return { data, error, busy, run }
}
