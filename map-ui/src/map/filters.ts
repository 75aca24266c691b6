/** Which cases the map shows. Kept in a store: the desks to come share it. */
import { computed, reactive } from 'vue'
import { defineStore } from 'pinia'

export interface CaseFilters {
  /** Days in Asia/Shanghai, `YYYY-MM-DD`, both included. */
  from: string
  to: string
  /** Any of these; empty for all. */
  status: string[]
  nature: string[]
  category: string[]
  /** Code of the area, or empty for all that one may see. */
  area: string
}

export function noFilters(): CaseFilters {
  return { from: '', to: '', status: [], nature: [], category: [], area: '' }
}

/** The query of `cases` and `heat` tiles: `?from=…&nature=…`, empty without any filter. */
export function tileQuery(filters: CaseFilters): string {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(filters)) {
    const text = Array.isArray(value) ? value.join() : String(value)
    if (text) query.set(name, text)
  }
  const text = query.toString()
  return text && `?${text}`
}

export const useCaseFilters = defineStore('caseFilters', () => {
  const filters = reactive(noFilters())
  const query = computed(() => tileQuery(filters))
  const active = computed(() => Object.entries(filters).filter(([name, value]) => name !== 'to' && value.length > 0).length)
  const reset = () => Object.assign(filters, noFilters())
  return { filters, query, active, reset }
})
