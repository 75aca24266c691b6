/** Months of the time slider, and where it plays to. */
import { today } from '@/map/days'

/** `YYYY-MM`, the last `count` up to and with the present one. */
export function lastMonths(count: number, now = new Date()): string[] {
  const [year = 0, month = 1] = today(now).split('-').map(Number)
  return Array.from({ length: count }, (_, index) => {
    const from = year * 12 + (month - 1) - (count - 1 - index)
    return `${Math.floor(from / 12)}-${String((from % 12) + 1).padStart(2, '0')}`
  })
}

export function firstDay(month: string): string {
  return `${month}-01`
}

/** The last day of a month, leap years included. */
export function lastDay(month: string): string {
  const [year = 0, number = 1] = month.split('-').map(Number)
  return `${month}-${String(new Date(Date.UTC(year, number, 0)).getUTCDate()).padStart(2, '0')}`
}

/**
 * The next place of the window `[first, last]` among `count` months: one month on, from the start
 * again at the end.
 */
export function step([first, last]: [number, number], count: number): [number, number] {
  if (last + 1 < count) return [first + 1, last + 1]
  return [0, last - first]
}

/** The window that a period covers, if it consists of whole months that are there. */
export function windowOf(from: string, to: string, months: readonly string[]): [number, number] | undefined {
  const first = months.indexOf(from.slice(0, 7))
  const last = months.indexOf(to.slice(0, 7))
  return first >= 0 && last >= first ? [first, last] : undefined
}
