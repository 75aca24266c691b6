/** The service worker: installed once the phone's page is open; a new version waits to be asked for. */
import { ref } from 'vue'
import { defineStore } from 'pinia'

export const useUpdate = defineStore('update', () => {
  const ready = ref(false)
  let refresh: ((reload?: boolean) => Promise<void>) | undefined
  let begun = false

  async function begin(): Promise<void> {
    if (begun || !('serviceWorker' in navigator) || import.meta.env.DEV) return
    begun = true
    const { registerSW } = await import('virtual:pwa-register')
    refresh = registerSW({ immediate: true, onNeedRefresh: () => (ready.value = true) })
  }

  async function apply(): Promise<void> {
    await refresh?.(true)
  }

  return { ready, begin, apply }
})
