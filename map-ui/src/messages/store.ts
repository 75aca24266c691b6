/** One's messages: newest first, page by page, and how many wait to be read. */
import { computed, ref, shallowRef } from 'vue'
import { defineStore } from 'pinia'
import { call, type Page } from '@/api/call'
import { newId } from '@/api/id'
import type { Message } from './model'

const pageSize = 30

export const useMessages = defineStore('messages', () => {
  const items = shallowRef<Message[]>([])
  const unread = ref(0)
  const next = ref<string | null>()
  const busy = ref(false)
  const error = shallowRef<unknown>()
  const onlyUnread = ref(false)
  const more = computed(() => Boolean(next.value))

  async function count(): Promise<void> {
    try {
      unread.value = (await call<{ count: number }>('GET', '/api/v1/messages/unread')).count
    } catch {
      // The badge is a help: without an answer it keeps what it showed.
    }
  }

  async function load(further = false): Promise<void> {
    if (busy.value) return
    busy.value = true
    error.value = undefined
    try {
      const page = await call<Page<Message>>('GET', '/api/v1/messages', {
        query: { limit: pageSize, unread: onlyUnread.value || undefined, cursor: further ? next.value : undefined },
      })
      items.value = further ? [...items.value, ...page.items] : page.items
      next.value = page.next
      await count()
    } catch (cause) {
      error.value = cause
    } finally {
      busy.value = false
    }
  }

  /** A message came: the badge at once, the list where it is open. */
  async function arrived(): Promise<void> {
    if (items.value.length) await load()
    else await count()
  }

  async function read(message: Message): Promise<void> {
    if (message.read_at) return
    await call('POST', `/api/v1/messages/${message.id}/read`, { body: {} })
    const now = new Date().toISOString()
    items.value = items.value.map((other) => (other.id === message.id ? { ...other, read_at: now } : other))
    unread.value = Math.max(0, unread.value - 1)
  }

  async function readAll(): Promise<void> {
    await call('POST', '/api/v1/messages/read-all', { body: {} })
    await load()
  }

  const reply = (message: Message, text: string) =>
    call('POST', `/api/v1/messages/${message.id}/reply`, { body: { id: newId(), text } })

  return { items, unread, more, busy, error, onlyUnread, count, load, arrived, read, readAll, reply }
})
