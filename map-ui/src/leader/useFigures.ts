/** The figures of an area and of those just below it, and how to go down to them. */
import { computed, watch } from 'vue'
import { call } from '@/api/call'
import { readReport } from '@/api/pending'
import type { AreaItem } from '@/api/types'
import { useLoad } from '@/components/useLoad'
import { daysBefore, today } from '@/map/days'
import { useCaseFilters } from '@/map/filters'
import { useSession } from '@/session/store'

/** The level of the rows below an area. */
export function below(level: string | undefined): 'district' | 'town' | 'village' | undefined {
  if (level === 'city') return 'district'
  if (level === 'district' || level === 'functional_area') return 'town'
  return level === 'town' ? 'village' : undefined
}

export function useFigures() {
  const store = useCaseFilters()
  const session = useSession()
  const code = computed(() => store.filters.area || session.me?.area_code || '')

  const loading = useLoad(async (signal, wanted: string, from: string, to: string) => {
    const line: AreaItem[] = []
    // From the area up to the viewer's own: the way back.
    for (let next: string | null | undefined = wanted; next && line.length < 6; ) {
      const area: AreaItem = await call<AreaItem>('GET', `/api/v1/areas/${next}`, { signal })
      line.unshift(area)
      if (area.code === session.me?.area_code) break
      next = area.parent_code
    }
    const area = line.at(-1)
    const period = { from: from || daysBefore(365), to: to || today() }
    const report = await readReport('cases', { area: wanted, level: below(area?.level) ?? 'village', ...period }, signal)
    return { area, line, rows: report.rows, total: report.total, period, as_of: report.as_of }
  })
  const load = () => (code.value ? loading.run(code.value, store.filters.from, store.filters.to) : Promise.resolve(undefined))
  watch(() => [code.value, store.filters.from, store.filters.to], load, { immediate: true })
  return { ...loading, load, code }
}
