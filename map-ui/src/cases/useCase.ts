/** A case with its history and the steps that are open to this viewer; follows the event stream. */
import { watch } from 'vue'
import { useEvent } from '@/api/events'
import { readCase, readHistory, type ActionOffer, type Case, type CaseEvent } from '@/api/cases'
import { useLoad } from '@/components/useLoad'
import { inOrder, offers } from './actions'

export interface WholeCase {
  found: Case
  events: CaseEvent[]
  offers: ActionOffer[]
}

export function useCase(id: () => string | undefined) {
  const whole = useLoad(async (signal, wanted: string): Promise<WholeCase> => {
    const [found, events, offered] = await Promise.all([
      readCase(wanted, signal),
      readHistory(wanted, signal),
      offers(wanted, signal),
    ])
    return { found, events, offers: inOrder(offered) }
  })
  const load = async () => {
    const wanted = id()
    if (wanted) await whole.run(wanted)
  }
  watch(
    id,
    () => {
      whole.data.value = undefined
      void load()
    },
    { immediate: true },
  )
  useEvent('case', (event) => {
    if (event.id === id()) void load()
  })
  useEvent('reload', () => void load())
  return { ...whole, load }
}
