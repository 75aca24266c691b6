/** The steps of `GET /stats/timeline`, whatever it names them. */
import type { TimelinePoint } from '@/api/pending'

export interface MonthPoint {
  month: string
  found: number
  closed: number
  demolished_m2: number
}

export function pointsOf(
  answer: { items?: TimelinePoint[]; rows?: TimelinePoint[]; steps?: TimelinePoint[] } | undefined,
): MonthPoint[] {
  const rows = answer?.items ?? answer?.rows ?? answer?.steps ?? []
  const number = (value: unknown) => (typeof value === 'number' && Number.isFinite(value) ? value : 0)
  const months = new Map<string, MonthPoint>()
  for (const row of rows) {
    const month = String(row.from ?? row.day ?? row.at ?? '').slice(0, 7)
    if (!/^\d{4}-\d{2}$/.test(month)) continue
    const sum = months.get(month) ?? { month, found: 0, closed: 0, demolished_m2: 0 }
    sum.found += number(row.found ?? row.reported ?? row.count)
    sum.closed += number(row.closed)
    sum.demolished_m2 += number(row.demolished_m2 ?? row.demolished)
    months.set(month, sum)
  }
  return [...months.values()].sort((a, b) => a.month.localeCompare(b.month))
}
