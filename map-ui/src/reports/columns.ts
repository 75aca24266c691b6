/** The columns of the reports, and which cases stand behind a figure. */
import type { Report, ReportRow } from '@/api/pending'

export type ColumnKind = 'text' | 'area' | 'count' | 'rate' | 'days'

export interface Column {
  key: string
  kind: ColumnKind
  /** The server's own title, where it gives one. */
  title?: string
}

const areas = ['basic_farmland', 'farmland', 'non_farmland', 'homestead', 'mine', 'total', 'demolished', 'reported_m2', 'target', 'target_m2', 'demolished_m2']
const kindOf = (key: string, value: unknown): ColumnKind => {
  if (areas.includes(key) || key.endsWith('_m2')) return 'area'
  if (key.endsWith('_rate') || key === 'rate' || key === 'ratio' || key.endsWith('_ratio')) return 'rate'
  return typeof value === 'number' ? 'count' : 'text'
}

/** The usual columns of the case report, in the officials' order. */
const casesColumns = [
  'name', 'basic_farmland', 'farmland', 'non_farmland', 'homestead', 'mine', 'total', 'demolished', 'found', 'closed', 'open', 'overdue', 'without_area',
]
const hidden = new Set(['code', 'parent_code', 'id', 'person_id', 'links', 'level', 'cases', 'level_code', 'phone'])

/** Columns as the report names them, else those its rows have. */
export function columnsOf(name: string, report: Report): Column[] {
  if (report.columns?.length) {
    return report.columns.map(({ key, title, kind }) => ({
      key, title, kind: (kind as ColumnKind | undefined) ?? kindOf(key, report.rows.find((row) => row[key] !== null)?.[key]),
    }))
  }
  const sample = report.rows[0] ?? report.total ?? {}
  const keys = name === 'cases' ? casesColumns : Object.keys(sample)
  return keys
    .filter((key) => !hidden.has(key) && typeof sample[key] !== 'object' || sample[key] === null)
    .filter((key) => name !== 'cases' || key in sample || key === 'name')
    .map((key) => ({ key, kind: kindOf(key, report.rows.find((row) => row[key] !== null)?.[key] ?? sample[key]) }))
}

export interface Period {
  from: string
  to: string
}

/** The filters of the case list behind a figure; none where no list of cases stands behind it. */
export function drill(column: string, row: ReportRow, area: string, period: Period): Record<string, string> | undefined {
  const code = typeof row.code === 'string' ? row.code : ''
  // The row of cases without a place has no code.
  const base: Record<string, string> = code ? { area: code } : row.name && !area ? { unplaced: 'true' } : { area }
  const person = typeof row.person_id === 'string' ? row.person_id : undefined
  if (person) Object.assign(base, { assignee: person, area })
  const clean = (query: Record<string, string>) => Object.fromEntries(Object.entries(query).filter(([, value]) => value))
  const reported = { ...base, from: period.from, to: period.to }
  switch (column) {
    case 'found':
    case 'cases':
    case 'reported':
      return clean(reported)
    case 'closed':
      return clean({ ...reported, status: 'closed' })
    case 'open':
      return clean({ ...reported, open: 'true' })
    case 'overdue':
      return clean({ ...reported, overdue: 'true' })
    case 'without_area':
      return clean({ ...reported, without_area: 'true' })
    case 'demolished':
    case 'demolished_m2':
      return clean({ ...base, demolished_from: period.from, demolished_to: period.to })
    case 'basic_farmland':
    case 'farmland':
    case 'non_farmland':
    case 'homestead':
    case 'mine':
      return clean({ ...reported, category: column })
    case 'total':
      return clean(reported)
    default:
      return undefined
  }
}

/** A figure as people read it. */
export function show(value: unknown, kind: ColumnKind, locale: string): string {
  if (value === null || value === undefined || value === '') return '—'
  if (typeof value === 'string') return value
  if (typeof value === 'boolean') return value ? '✓' : ''
  if (typeof value !== 'number') return ''
  if (kind === 'rate') return `${(value * 100).toLocaleString(locale, { maximumFractionDigits: 1 })} %`
  return value.toLocaleString(locale, { maximumFractionDigits: kind === 'area' ? 1 : 2 })
}

/** Five classes of equal count for the map; the bounds rise. */
export function quantiles(values: readonly number[], classes = 5): number[] {
  const sorted = values.filter((value) => Number.isFinite(value) && value > 0).sort((a, b) => a - b)
  const bounds = Array.from({ length: classes - 1 }, (_, index) => sorted[Math.floor(((index + 1) * sorted.length) / classes)])
  return [...new Set(bounds.filter((value): value is number => value !== undefined))]
}
