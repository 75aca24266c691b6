/** Days as the reports count them: in Asia/Shanghai, whatever the computer's clock is set to. */
const day = new Intl.DateTimeFormat('sv-SE', { timeZone: 'Asia/Shanghai' })

/** `YYYY-MM-DD` */
export function today(now = new Date()): string {
  return day.format(now)
}

export function daysBefore(count: number, now = new Date()): string {
  return day.format(new Date(now.getTime() - count * 86_400_000))
}
