/** Times as the office reads them: in Asia/Shanghai, whatever the computer's clock is set to. */
const timeZone = 'Asia/Shanghai'

export function dayAndTime(at: string | number | Date | null | undefined, locale: string): string {
  if (at === null || at === undefined || at === '') return ''
  const date = new Date(at)
  if (Number.isNaN(date.getTime())) return ''
  return date.toLocaleString(locale, { timeZone, dateStyle: 'medium', timeStyle: 'short' })
}

export function dayOnly(at: string | number | Date | null | undefined, locale: string): string {
  if (at === null || at === undefined || at === '') return ''
  const date = new Date(at)
  return Number.isNaN(date.getTime()) ? '' : date.toLocaleDateString(locale, { timeZone, dateStyle: 'medium' })
}

/** How far `at` is from `now`, in the largest unit that fits: "3 天前", "in 2 hours". */
export function relative(at: string | null | undefined, locale: string, now = Date.now()): string {
  if (!at) return ''
  const seconds = (new Date(at).getTime() - now) / 1000
  if (Number.isNaN(seconds)) return ''
  const format = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' })
  const units = [
    ['day', 86_400],
    ['hour', 3_600],
    ['minute', 60],
  ] as const
  for (const [unit, size] of units) {
    if (Math.abs(seconds) >= size) return format.format(Math.trunc(seconds / size), unit)
  }
  return format.format(0, 'minute')
}
