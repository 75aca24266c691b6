/** Reports of citizens: sent without a log-in, followed by a secret link. */
import { call } from '@/api/call'
import type { Fix } from '@/phone/place/usePosition'

export interface Sent {
  id: string
  secret: string
}

export interface Given {
  id: string
  text: string
  address: string
  phone: string
  fix?: Fix
  files: File[]
}

export async function sendReport(given: Given): Promise<Sent> {
  const form = new FormData()
  const fields: Record<string, string | number | undefined> = {
    id: given.id,
    text: [given.text.trim(), given.address.trim()].filter(Boolean).join('\n'),
    phone: given.phone.trim() || undefined,
    lon: given.fix?.lon,
    lat: given.fix?.lat,
    crs: given.fix && 'wgs84',
    accuracy_m: given.fix?.accuracy_m,
  }
  for (const [name, value] of Object.entries(fields)) if (value !== undefined && value !== '') form.append(name, String(value))
  for (const file of given.files) form.append('file', file, file.name)
  return call<Sent>('POST', '/api/v1/public/reports', { body: form })
}

/** What the reporter may know: that somebody looks after it, and what became of it. */
export interface Answer {
  state: string
  created_at: string
  text?: string | null
  reason?: string | null
  case_number?: string | null
  status?: string | null
  case_status?: string | null
  place?: string | null
  answered_at?: string | null
}

export const readAnswer = (secret: string) => call<Answer>('GET', `/api/v1/public/reports/${encodeURIComponent(secret)}`)
