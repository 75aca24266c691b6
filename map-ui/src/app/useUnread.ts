/** How many messages wait to be read; follows the event stream. */
import { onMounted, ref } from 'vue'
import { call } from '@/api/call'
import { useEvent } from '@/api/events'

export function useUnread() {
  const unread = ref(0)
  async function count(): Promise<void> {
    try {
      unread.value = (await call<{ count: number }>('GET', '/api/v1/messages/unread')).count
    } catch {
      // The badge is a help, not a page: without an answer it keeps what it showed.
    }
  }
  onMounted(count)
  useEvent('message', () => void count())
  useEvent('reload', () => void count())
  return unread
}
