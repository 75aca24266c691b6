/** Reports of citizens: sent without a log-in, followed by a secret link. */
import { call } from '@/api/call'
import type { AreaRef } from '@/api/types'
import type { Fix } from '@/phone/place/usePosition'
import { takeIn } from '@/phone/queue/photo'

export interface Sent {
  secret: string
}

export interface Given {
  id: string
  text: string
  address: string
  phone: string
  fix: Fix
  files: File[]
}

/** What the server takes of one photo, bytes, with room to spare. */
const largestBytes = 9 * 2 ** 20

/** A photo as it is, or a smaller copy where it is too large for a report without an account. */
async function small(file: File): Promise<Blob> {
  return file.size <= largestBytes ? file : ((await takeIn(file)).copy ?? file)
}

export async function sendReport(given: Given): Promise<Sent> {
  const form = new FormData()
  const fields: Record<string, string | number | undefined> = {
    id: given.id,
    text: [given.text.trim(), given.address.trim()].filter(Boolean).join('\n'),
    phone: given.phone.trim() || undefined,
    lon: given.fix.lon,
    lat: given.fix.lat,
    crs: 'wgs84',
    accuracy_m: given.fix.accuracy_m,
  }
  for (const [name, value] of Object.entries(fields)) if (value !== undefined && value !== '') form.append(name, String(value))
  for (const file of given.files) form.append('photo', await small(file), file.name)
  return call<Sent>('POST', '/api/v1/public/reports', { body: form })
}

/** What the reporter may know: that somebody looks after it, and what became of it. */
export interface Answer {
  state: 'new' | 'accepted' | 'declined'
  received_at: string
  text: string
  photos: number
  district?: AreaRef | null
  town?: AreaRef | null
  village?: AreaRef | null
  decided_at?: string | null
  reason?: string | null
  case?: { number: string; status: string } | null
}

export const readAnswer = (secret: string) => call<Answer>('GET', `/api/v1/public/reports/${encodeURIComponent(secret)}`)
