/** Which cases the map shows. Kept in a store: the desks to come share it. */
import { computed, reactive } from 'vue'
import { defineStore } from 'pinia'

export interface CaseFilters {
  /** Days in Asia/Shanghai, `YYYY-MM-DD`, both included. */
  from: string
  to: string
  status: string
  nature: string
  category: string
  /** Code of the area, or empty for all that one may see. */
  area: string
}

export const noFilters: Readonly<CaseFilters> = { from: '', to: '', status: '', nature: '', category: '', area: '' }

/** The query of `cases` and `heat` tiles: `?from=…&nature=…`, empty without any filter. */
export function tileQuery(filters: CaseFilters): string {
  const query = new URLSearchParams()
  for (const name of Object.keys(noFilters) as (keyof CaseFilters)[]) {
    if (filters[name]) query.set(name, filters[name])
  }
  const text = query.toString()
  return text && `?${text}`
}

export const useCaseFilters = defineStore('caseFilters', () => {
  const filters = reactive<CaseFilters>({ ...noFilters })
  const query = computed(() => tileQuery(filters))
  const active = computed(() => Object.values(filters).filter(Boolean).length)
  const reset = () => Object.assign(filters, noFilters)
  return { filters, query, active, reset }
})
