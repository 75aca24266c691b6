/** Who is logged in. */
import { computed, ref } from 'vue'
import { defineStore } from 'pinia'
import { api, onSessionLost, sessionRegained, unwrap } from '@/api/client'
import { connectEvents, disconnectEvents } from '@/api/events'
import { problemOf } from '@/api/problem'
import type { Me } from '@/api/types'

/** `lost`: was logged in, and the server forgot us; the page stays and a dialog asks again. */
export type SessionState = 'unknown' | 'in' | 'out' | 'lost'

/** Whether this browser was logged in: spares the question, and its refusal, on the first visit. */
const hint = {
  key: 'xuncha.session',
  get(): boolean {
    try {
      return localStorage.getItem(this.key) !== null
    } catch {
      return true
    }
  },
  set(inside: boolean): void {
    try {
      if (inside) localStorage.setItem(this.key, '1')
      else localStorage.removeItem(this.key)
    } catch {
      // Storage is barred by policy: then the server is asked every time.
    }
  },
}

/** Who was logged in here last: the phone opens with it before, or without, an answer. */
const remembered = {
  key: 'xuncha.me',
  get(): Me | undefined {
    try {
      const kept = localStorage.getItem(this.key)
      return kept ? (JSON.parse(kept) as Me) : undefined
    } catch {
      return undefined
    }
  },
  set(person: Me | undefined): void {
    try {
      if (person) localStorage.setItem(this.key, JSON.stringify(person))
      else localStorage.removeItem(this.key)
    } catch {
      // Storage is barred by policy: then the server is asked first.
    }
  },
}

export const useSession = defineStore('session', () => {
  const me = ref<Me>()
  const state = ref<SessionState>('unknown')
  const mustChangePassword = computed(() => me.value?.must_change_password === true)

  function enter(person: Me): void {
    me.value = person
    state.value = 'in'
    hint.set(true)
    remembered.set(person)
    if (person.must_change_password) disconnectEvents()
    else connectEvents()
    sessionRegained()
  }

  function leave(): void {
    me.value = undefined
    state.value = 'out'
    hint.set(false)
    remembered.set(undefined)
    disconnectEvents()
  }

  /** Asks the server whether the remembered person is still logged in; a lost session shows itself. */
  async function verify(before: Me): Promise<void> {
    try {
      const person = await unwrap(api.GET('/api/v1/me'))
      if (person.id !== before.id) return globalThis.location.reload()
      me.value = person
      remembered.set(person)
    } catch {
      // Without signal the phone goes on with what it knows.
    }
  }

  /**
   * Asks the server once who we are; a failure other than "nobody" is thrown. With `atOnce` the
   * person remembered here is taken as logged in, and the server is asked beside.
   */
  async function load(atOnce = false): Promise<void> {
    if (state.value !== 'unknown') return
    if (!hint.get()) return leave()
    const known = remembered.get()
    if (known && atOnce && !known.must_change_password) {
      enter(known)
      void verify(known)
      return
    }
    try {
      enter(await unwrap(api.GET('/api/v1/me')))
    } catch (error) {
      if (problemOf(error).status !== 401) throw error
      leave()
    }
  }

  async function logIn(phone: string, password: string): Promise<void> {
    const before = me.value?.id
    await unwrap(api.POST('/api/v1/session', { body: { phone, password } }))
    const person = await unwrap(api.GET('/api/v1/me'))
    // Somebody else at the same desk: nothing of the first one's page may stay.
    if (before && before !== person.id) return globalThis.location.reload()
    enter(person)
  }

  async function changePassword(oldPassword: string, newPassword: string): Promise<void> {
    await unwrap(
      api.POST('/api/v1/session/password', {
        body: { old_password: oldPassword, new_password: newPassword },
      }),
    )
    enter(await unwrap(api.GET('/api/v1/me')))
  }

  async function logOut(): Promise<void> {
    try {
      await unwrap(api.DELETE('/api/v1/session'))
    } catch (error) {
      if (problemOf(error).status !== 401) throw error
    }
    leave()
  }

  onSessionLost(() => {
    if (state.value === 'in') state.value = 'lost'
    return state.value === 'lost'
  })

  return { me, state, mustChangePassword, load, logIn, changePassword, logOut }
})
