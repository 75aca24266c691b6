/** The form of a step on a case, and what of it goes to the server. */
import type { Entry, Photo } from '../queue/model'
import { photoEntry, type NewEntry } from '../queue/outbox'
import type { Offer } from './steps'

export interface StepForm {
  photos: string[]
  text: string
  reason: string
  demolished: number | null
  outcome: string
  toUser: string
  duplicateOf: string
  pin?: { lon: number; lat: number }
}

export const stepKey = (caseId: string, action: string) => `step:${caseId}:${action}`

export function emptyStep(): StepForm {
  return { photos: [], text: '', reason: '', demolished: null, outcome: '', toUser: '', duplicateOf: '' }
}

/** The first thing that is missing, as the server would say it later. */
export function stepLacks(form: StepForm, offer: Offer): string | undefined {
  if (offer.needs.includes('photos') && !form.photos.length) return 'evidence'
  if (offer.needs.includes('demolished_if_so') && form.outcome === 'demolished' && form.demolished === null) return 'demolished_m2'
  const given: Record<string, unknown> = {
    text: form.text.trim(), reason: form.reason.trim(), demolished_m2: form.demolished ?? '',
    outcome: form.outcome, to_user: form.toUser, duplicate_of: form.duplicateOf,
  }
  return offer.needs.find((field) => field in given && given[field] === '')
}

interface At {
  lon: number
  lat: number
  accuracy_m?: number
  crs: 'wgs84' | 'cgcs2000'
}

export function stepBody(id: string, action: string, form: StepForm, at: At | undefined, version: number): Record<string, unknown> {
  const given: Record<string, unknown> = {
    text: form.text.trim(),
    reason: form.reason.trim(),
    demolished_m2: form.demolished,
    outcome: form.outcome,
    to_user: form.toUser,
    duplicate_of: form.duplicateOf,
  }
  const filled = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== '' && value !== null))
  return {
    id,
    action,
    expected_version: version,
    ...(at ? { lon: at.lon, lat: at.lat, crs: at.crs, accuracy_m: at.accuracy_m ?? null, mocked: false } : {}),
    ...filled,
    attachments: [...form.photos],
  }
}

interface Made {
  caseId: string
  person: string
  number: string
  /** What waits for the same case already: this step comes after it, on the version it makes. */
  earlier: readonly Entry[]
  photos: readonly Photo[]
}

/** Photos first: the server refuses a step whose evidence it does not have. */
export function stepEntries(id: string, body: Record<string, unknown>, made: Made): NewEntry[] {
  const { caseId, person, number, earlier, photos } = made
  const label = { number, action: String(body.action) }
  // A case that is itself still waiting has to be there before its photos.
  const before = earlier.map((entry) => entry.id)
  const cases = earlier.filter((entry) => entry.kind === 'case').map((entry) => entry.id)
  return [
    ...photos.map((photo) => photoEntry(photo, person, caseId, label, cases)),
    { id, kind: 'action', person, caseId, label, body, after: [...before, ...photos.map((photo) => photo.id)] },
  ]
}
