/** The figures of reports: how they are written, and which list stands behind each. */
import type { RouteLocationRaw } from 'vue-router'
import type { ReportColumn, ReportRow } from '@/api/pending'
import { furtherFilters, noFilters } from '@/map/filters'

export type ColumnKind = ReportColumn['kind']

export const caseParameters: readonly string[] = [...Object.keys(noFilters()), ...furtherFilters]

/** The page that lists what stands behind a figure; none where there is no such page. */
export function behind(row: ReportRow, key: string): RouteLocationRaw | undefined {
  const list = row.lists?.[key]
  if (!list || list.count === 0 || list.path !== '/api/v1/cases') return undefined
  const query = Object.fromEntries(
    [...new URLSearchParams(list.query)].filter(([name, value]) => caseParameters.includes(name) && value !== ''),
  )
  return { name: 'cases', query }
}

/** A figure as people read it. */
export function show(value: unknown, kind: ColumnKind | 'text', locale: string): string {
  if (value === null || value === undefined || value === '') return '—'
  if (typeof value === 'string') return value
  if (typeof value !== 'number') return ''
  if (kind === 'rate') return `${(value * 100).toLocaleString(locale, { maximumFractionDigits: 1 })} %`
  const text = value.toLocaleString(locale, { maximumFractionDigits: kind === 'area' ? 1 : 2 })
  return kind === 'change' && value > 0 ? `+${text}` : text
}

/** Five classes of equal count for the map; the bounds rise. */
export function quantiles(values: readonly number[], classes = 5): number[] {
  const sorted = values.filter((value) => Number.isFinite(value) && value > 0).sort((a, b) => a - b)
  const bounds = Array.from({ length: classes - 1 }, (_, index) => sorted[Math.floor(((index + 1) * sorted.length) / classes)])
  return [...new Set(bounds.filter((value): value is number => value !== undefined))]
}
