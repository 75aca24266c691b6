/** Putting the app on the phone's home screen, where the browser offers that. */
import { ref } from 'vue'
import { defineStore } from 'pinia'

interface InstallEvent extends Event {
  prompt(): Promise<{ outcome: string }>
}

let offered: InstallEvent | undefined
const listeners = new Set<() => void>()

// The browser asks early, before any page of ours is there.
globalThis.addEventListener?.('beforeinstallprompt', (event) => {
  event.preventDefault()
  offered = event as InstallEvent
  for (const listener of listeners) listener()
})

export const useInstall = defineStore('install', () => {
  const possible = ref(offered !== undefined)
  const installed = ref(globalThis.matchMedia?.('(display-mode: standalone)').matches ?? false)
  listeners.add(() => (possible.value = true))
  globalThis.addEventListener?.('appinstalled', () => {
    installed.value = true
    possible.value = false
  })

  async function install(): Promise<void> {
    await offered?.prompt()
    offered = undefined
    possible.value = false
  }

  return { possible, installed, install }
})
