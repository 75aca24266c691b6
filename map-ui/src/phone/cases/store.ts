/** The cases of the person and the patch: from the server when it is there, else as last seen. */
import { computed, ref, shallowRef } from 'vue'
import { defineStore } from 'pinia'
import { call } from '@/api/call'
import { listCases, readCase, readHistory, type Case } from '@/api/cases'
import { problemOf } from '@/api/problem'
import { useSession } from '@/session/store'
import { db, isFull } from '../queue/db'
import { openStates, type CaseView } from './model'
import type { Offer } from './steps'

const most = 300
/** Of so many of one's own cases all is kept for the day without signal. */
const wholeCases = 40

/** The steps open to this person now. */
export async function readActions(id: string): Promise<Offer[]> {
  return (await call<{ items: Offer[] }>('GET', `/api/v1/cases/${id}/actions`)).items
}

export const usePhoneCases = defineStore('phoneCases', () => {
  const all = shallowRef<CaseView[]>([])
  const busy = ref(false)
  const error = shallowRef<unknown>()
  const refreshedAt = ref<number>()

  const newestFirst = (a: CaseView, b: CaseView) => b.reported_at.localeCompare(a.reported_at)
  const mine = computed(() => all.value.filter((found) => found.kept.mine).sort(newestFirst))
  const open = computed(() => mine.value.filter((found) => openStates.includes(found.status)))
  const patch = computed(() => [...all.value].sort(newestFirst))

  async function read(): Promise<void> {
    all.value = await (await db()).getAll('cases')
    refreshedAt.value = Math.max(0, ...all.value.map((found) => found.kept.at)) || undefined
  }

  async function put(found: CaseView): Promise<void> {
    try {
      await (await db()).put('cases', found)
    } catch (cause) {
      if (!isFull(cause)) throw cause // then it is shown, only not kept
    }
    all.value = [...all.value.filter((other) => other.id !== found.id), found]
  }

  function view(found: Case, kept?: CaseView['kept']): CaseView {
    const me = useSession().me?.id
    const mine = found.assignee_id === me || found.reporter_id === me
    const held = all.value.find((other) => other.id === found.id)?.kept
    return { ...found, kept: { ...held, ...kept, at: Date.now(), mine } }
  }

  /** One case with history and open steps; as last seen when the server is away. */
  async function load(id: string): Promise<CaseView | undefined> {
    try {
      const found = await readCase(id)
      const [history, actions] = await Promise.all([
        readHistory(id),
        readActions(id).catch((cause: unknown) => {
          if (problemOf(cause).status === 0) throw cause
          return undefined
        }),
      ])
      const whole = view(found, { at: Date.now(), mine: false, history, actions })
      await put(whole)
      return whole
    } catch (cause) {
      const held = all.value.find((other) => other.id === id) ?? (await (await db()).get('cases', id))
      if (held && problemOf(cause).status === 0) return held
      throw cause
    }
  }

  async function refresh(): Promise<void> {
    if (busy.value) return
    busy.value = true
    error.value = undefined
    try {
      const [own, around] = await Promise.all([
        listCases({ assignee: 'me', limit: most }),
        listCases({ limit: most }),
      ])
      const found = new Map([...around.items, ...own.items].map((one) => [one.id, one]))
      const fresh = [...found.values()].map((one) => view(one))
      const transaction = (await db()).transaction('cases', 'readwrite')
      await transaction.store.clear()
      for (const one of fresh) await transaction.store.put(one)
      await transaction.done.catch((cause: unknown) => {
        if (!isFull(cause)) throw cause
      })
      all.value = fresh
      refreshedAt.value = Date.now()
    } catch (cause) {
      error.value = cause
    } finally {
      busy.value = false
    }
  }

  /** History and steps of the open cases of one's own, for later without signal. */
  async function stockUp(): Promise<void> {
    const lacking = open.value.filter((one) => !one.kept.history).slice(0, wholeCases)
    for (const { id } of lacking) {
      try {
        await load(id)
      } catch {
        return
      }
    }
  }

  return { all, mine, open, patch, busy, error, refreshedAt, read, refresh, load, stockUp }
})
