/** Puts what was refused back into its form; the queue lets go of it in the same breath. */
import type { RouteLocationRaw } from 'vue-router'
import { saveDraft } from '../queue/drafts'
import { db } from '../queue/db'
import type { Entry } from '../queue/model'
import { dependents, entries, tell } from '../queue/outbox'
import { emptyForm, newCaseKey, type NewCaseForm } from './newCase'
import { emptyStep, stepKey, type StepForm } from './stepForm'

const text = (value: unknown) => (typeof value === 'string' ? value : '')
const number = (value: unknown) => (typeof value === 'number' ? value : null)

/** The form as it was, under the same id: its photos belong to that. */
export function formOfCase(entry: Entry, photos: string[]): NewCaseForm {
  const body = entry.body
  const party = (body.party ?? {}) as Record<string, unknown>
  const ring = (body.footprint as { coordinates?: [number, number][][] } | null)?.coordinates?.[0] ?? []
  const at = { lon: Number(body.lon), lat: Number(body.lat) }
  const byPin = body.crs === 'cgcs2000'
  return {
    ...emptyForm(),
    id: entry.id,
    photos,
    nature: text(body.nature) as NewCaseForm['nature'],
    use: text(body.use),
    party: text(party.name),
    idNumber: text(party.id_number),
    cadre: party.is_cadre === true,
    area: number(body.area_m2),
    storeys: number(body.storeys),
    newBuild: typeof body.new_build === 'boolean' ? body.new_build : null,
    spot: body.patrol_kind === 'spot',
    description: text(body.description),
    corners: ring.slice(0, -1),
    ...(byPin ? { pin: at } : { fix: { ...at, accuracy_m: number(body.accuracy_m) ?? 0, at: entry.madeAt } }),
  }
}

export function formOfStep(entry: Entry): StepForm {
  const body = entry.body
  return {
    ...emptyStep(),
    photos: Array.isArray(body.attachments) ? (body.attachments as string[]) : [],
    text: text(body.text),
    reason: text(body.reason),
    demolished: number(body.demolished_m2),
    outcome: text(body.outcome),
    toUser: text(body.to_user),
    duplicateOf: text(body.duplicate_of),
  }
}

/** The page of the form, or nothing when the phone has no room for it. */
export async function editAgain(entry: Entry, person: string): Promise<RouteLocationRaw | undefined> {
  const all = await entries()
  const isCase = entry.kind === 'case'
  // Of a case its waiting photos come back into the form; steps on it stay and wait for it.
  const photos = isCase ? dependents(entry.id, all).filter((other) => other.kind === 'photo') : []
  const key = isCase ? newCaseKey : stepKey(String(entry.caseId), String(entry.body.action))
  const form = isCase ? formOfCase(entry, photos.map((photo) => photo.id)) : formOfStep(entry)
  if (!(await saveDraft(key, person, form))) return undefined
  const transaction = (await db()).transaction('outbox', 'readwrite', { durability: 'strict' })
  for (const gone of [entry, ...photos]) if (gone.seq !== undefined) await transaction.store.delete(gone.seq)
  await transaction.done
  tell({ type: 'changed' })
  return isCase
    ? { name: 'phone-new' }
    : { name: 'phone-step', params: { id: String(entry.caseId), action: String(entry.body.action) } }
}
