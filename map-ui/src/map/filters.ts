/** Which cases are shown: by the map, the lists, the figures. One store, kept in the address bar. */
import { computed, reactive, watch } from 'vue'
import { defineStore } from 'pinia'
import { useRoute, useRouter, type LocationQuery } from 'vue-router'

export interface CaseFilters {
  /** Days in Asia/Shanghai, `YYYY-MM-DD`, both included. */
  from: string
  to: string
  /** Any of these; empty for all. */
  status: string[]
  nature: string[]
  category: string[]
  source: string[]
  /** Code of the area, or empty for all that one may see. */
  area: string
  /** `true`, `false`, or empty for both. */
  new_build: string
  cadre: string
  open: string
  overdue: string
  without_area: string
  unplaced: string
  /** Id or phone, or `me`. */
  assignee: string
  /** Part of number, party, description. */
  q: string
  /** Days of the closing and of the demolition, for the lists behind figures. */
  closed_from: string
  closed_to: string
  demolished_from: string
  demolished_to: string
}

export function noFilters(): CaseFilters {
  return {
    from: '',
    to: '',
    status: [],
    nature: [],
    category: [],
    source: [],
    area: '',
    new_build: '',
    cadre: '',
    open: '',
    overdue: '',
    without_area: '',
    unplaced: '',
    assignee: '',
    q: '',
    closed_from: '',
    closed_to: '',
    demolished_from: '',
    demolished_to: '',
  }
}

/**
 * Filters of the server's lists that no form of ours sets: the figures of reports lead to them, and
 * the address keeps them.
 */
export const furtherFilters = [
  'within', 'takes', 'as_of', 'close_due_from', 'close_due_to', 'closed_in_time', 'stopped_in_time', 'visited_within',
  'applied', 'returned', 'extended', 'imported', 'reporter',
] as const

/** Those that the tiles of `cases` and `heat` know. */
const ofTiles = ['from', 'to', 'status', 'nature', 'category', 'source', 'area', 'assignee'] as const

/** The filters that are set, as texts. */
export function written(filters: CaseFilters): Record<string, string> {
  const texts: Record<string, string> = {}
  for (const [name, value] of Object.entries(filters)) {
    const text = Array.isArray(value) ? value.join() : String(value)
    if (text) texts[name] = text
  }
  return texts
}

/** What {@link written} wrote, read back; unknown names and empty values are passed over. */
export function readFilters(query: LocationQuery | Record<string, string>): CaseFilters {
  const filters = noFilters()
  for (const [name, empty] of Object.entries(filters)) {
    const value = query[name]
    if (typeof value !== 'string' || !value) continue
    Object.assign(filters, { [name]: Array.isArray(empty) ? value.split(',').filter(Boolean) : value })
  }
  return filters
}

/** The query of `cases` and `heat` tiles: `?from=…&nature=…`, empty without any filter. */
export function tileQuery(filters: CaseFilters): string {
  const texts = written(filters)
  const query = new URLSearchParams()
  for (const name of ofTiles) if (texts[name]) query.set(name, texts[name])
  const text = query.toString()
  return text && `?${text}`
}

export const useCaseFilters = defineStore('caseFilters', () => {
  const filters = reactive(noFilters())
  const query = computed(() => tileQuery(filters))
  const texts = computed(() => written(filters))
  const active = computed(() => Object.keys(texts.value).filter((name) => !/(^|_)to$/.test(name)).length)
  const reset = () => Object.assign(filters, noFilters())
  const set = (wanted: Partial<CaseFilters>) => Object.assign(filters, noFilters(), wanted)
  return { filters, query, texts, active, reset, set }
})

/**
 * Keeps the filters in the address of the page, so that a link, a reload and the back button show
 * the same cases; a page opened without any keeps those of the page before.
 */
export function useFilterAddress(): ReturnType<typeof useCaseFilters> {
  const store = useCaseFilters()
  const route = useRoute()
  const router = useRouter()
  const page = route.name
  const names = Object.keys(noFilters())
  const inAddress = () => names.some((name) => route.query[name])

  function take(): void {
    const read = readFilters(route.query)
    if (JSON.stringify(written(read)) !== JSON.stringify(store.texts)) Object.assign(store.filters, read)
  }
  function write(): void {
    if (route.name !== page) return
    const others = Object.fromEntries(Object.entries(route.query).filter(([name]) => !names.includes(name)))
    void router.replace({ query: { ...others, ...store.texts }, hash: globalThis.location.hash })
  }
  if (inAddress()) take()
  else if (store.active > 0) write()
  watch(() => store.texts, write)
  watch(
    () => route.query,
    () => {
      if (route.name === page) take()
    },
  )
  return store
}
