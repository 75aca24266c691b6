/** The form of a new case, and what of it goes to the server. */
import type { Position } from 'geojson'
import { newId } from '@/api/id'
import { polygonOf } from '../footprint/area'
import type { ChosenPosition } from '../place/chosen'
import type { Photo } from '../queue/model'
import { photoEntry, type NewEntry } from '../queue/outbox'

export const newCaseKey = 'new'

export interface NewCaseForm {
  id: string
  photos: string[]
  nature: '' | 'illegal_land_use' | 'illegal_construction' | 'both'
  use: string
  party: string
  idNumber: string
  cadre: boolean
  area: number | null
  storeys: number | null
  newBuild: boolean | null
  spot: boolean
  description: string
  corners: Position[]
  pin?: { lon: number; lat: number }
  /** The last position of the phone: kept with the form, so that it can be finished later. */
  fix?: { lon: number; lat: number; accuracy_m: number; at: number }
  begunAt: number
}

export function emptyForm(): NewCaseForm {
  return {
    id: newId(), photos: [], nature: '', use: '', party: '', idNumber: '', cadre: false, area: null, storeys: null,
    newBuild: null, spot: false, description: '', corners: [], begunAt: Date.now(),
  }
}

export const uses = ['homestead', 'factory', 'mine', 'farm_shed', 'storage_yard', 'graves', 'roof_storey', 'road', 'other'] as const

/** The body of `POST /api/v1/cases`; the time is added when it is sent. */
export function caseBody(form: NewCaseForm, at: ChosenPosition): Record<string, unknown> {
  const text = (value: string) => value.trim() || null
  return {
    id: form.id,
    lon: at.lon,
    lat: at.lat,
    crs: at.crs,
    accuracy_m: at.accuracy_m ?? null,
    mocked: false,
    source: 'patrol',
    patrol_kind: form.spot ? 'spot' : 'regular',
    nature: form.nature,
    use: text(form.use),
    party: { name: text(form.party), id_number: text(form.idNumber), is_cadre: form.cadre },
    area_m2: form.area,
    storeys: form.storeys,
    new_build: form.newBuild,
    description: text(form.description),
    // Drawn on our own map or walked with GPS: WGS 84 and CGCS2000 are within a metre.
    footprint: polygonOf(form.corners) ?? null,
  }
}

/** The case first, so that it is dispatched while the photos are still on their way. */
export function caseEntries(form: NewCaseForm, at: ChosenPosition, person: string, place: string, photos: readonly Photo[]): NewEntry[] {
  const label = { nature: form.nature, place }
  return [
    { id: form.id, kind: 'case', person, caseId: form.id, label, body: caseBody(form, at) },
    ...photos.map((photo) => photoEntry(photo, person, form.id, label, [form.id])),
  ]
}
