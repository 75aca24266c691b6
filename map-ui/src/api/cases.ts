/**
 * Cases. The server describes a case as an open object, so its shape is written down here: the
 * contract's, where everything that may be missing says so.
 */
import type { Geometry } from 'geojson'
import { call, type Page, type Query } from './call'
import { newId } from './id'
import type { AreaRef, Person, Responsible } from './types'

export interface Party {
  name?: string | null
  id_number?: string | null
  is_cadre?: boolean
}

export interface CasePlace {
  city?: AreaRef | null
  district?: AreaRef | null
  functional_areas?: AreaRef[]
  town?: AreaRef | null
  village?: AreaRef | null
  cell?: AreaRef | null
}

export interface Alarm {
  kind: string
  cumulative_m2?: number
  threshold_m2?: number
  text_zh?: string
  text_en?: string
}

export interface Case {
  id: string
  number: string
  version: number
  status: string
  source?: string | null
  patrol_kind?: string | null
  nature: string
  use?: string | null
  party?: Party | null
  area_m2?: number | null
  storeys?: number | null
  new_build?: boolean | null
  description?: string | null
  lon: number
  lat: number
  input?: { x: number; y: number; crs: string }
  accuracy_m?: number | null
  mocked?: boolean | null
  observed_at?: string | null
  reported_at: string
  reporter_id?: string | null
  place?: CasePlace | null
  placed?: boolean
  nearest_m?: number | null
  category?: string | null
  area_by_category?: Record<string, number> | null
  responsible?: Responsible | null
  assignee_id?: string | null
  assignee?: Pick<Person, 'id' | 'name' | 'phone'> | null
  candidates?: { cell?: AreaRef | null; village?: AreaRef | null; distance_m: number }[] | null
  alarms?: Alarm[]
  possible_duplicates?: { id: string; number: string; distance_m?: number; status?: string }[]
  outcome?: string | null
  demolished_m2?: number | null
  demolished_at?: string | null
  closed_at?: string | null
  due_at?: string | null
  imported?: boolean
  footprint?: Geometry | null
  attachments?: Attachment[]
}

export interface Attachment {
  id: string
  case_id?: string
  media_type?: string
  file_name?: string | null
  bytes?: number
  uploaded_by?: string | null
  uploaded_at?: string | null
  taken_at?: string | null
  lon?: number | null
  lat?: number | null
}

export const isPhoto = (attachment: Attachment) => attachment.media_type?.startsWith('image/') ?? true

export interface CaseEvent {
  seq: number
  id: string
  action: string
  actor?: { id: string; name: string } | null
  at: string
  observed_at?: string | null
  lon?: number | null
  lat?: number | null
  accuracy_m?: number | null
  mocked?: boolean | null
  text?: string | null
  attachments?: string[]
  data?: Record<string, unknown> | null
}

/** Ended, one way or another. */
export const ended: readonly string[] = ['closed', 'rejected', 'duplicate', 'transferred']

export const isOpen = (found: Pick<Case, 'status'>) => !ended.includes(found.status)
export const isOverdue = (found: Pick<Case, 'status' | 'due_at'>, now = Date.now()) =>
  isOpen(found) && !!found.due_at && new Date(found.due_at).getTime() < now

/** `cell` down to `city`, the first that is named. */
export function placeName(found: Pick<Case, 'place'>): string {
  const { district, functional_areas, town, village } = found.place ?? {}
  return [functional_areas?.[0] ?? district, town, village].flatMap((area) => (area?.name ? [area.name] : [])).join(' ')
}

export const listCases = (query: Query, signal?: AbortSignal) =>
  call<Page<Case> & { total: number }>('GET', '/api/v1/cases', { query, signal })
export const countCases = async (query: Query, signal?: AbortSignal) => {
  const counted = await call<{ count?: number; total?: number }>('GET', '/api/v1/cases/count', { query, signal })
  return counted.count ?? counted.total ?? 0
}
export const readCase = (id: string, signal?: AbortSignal) => call<Case>('GET', `/api/v1/cases/${id}`, { signal })
export const readHistory = async (id: string, signal?: AbortSignal) =>
  (await call<Page<CaseEvent>>('GET', `/api/v1/cases/${id}/history`, { signal })).items
export const reportCase = (body: Record<string, unknown>) => call<Case>('POST', '/api/v1/cases', { body })
export const photo = (id: string, size: 'thumb' | 'preview' = 'preview') => `/api/v1/attachments/${id}?size=${size}`

/** What one may do to a case now, and what each step asks for. */
export interface ActionOffer {
  action: string
  name_zh?: string
  name_en?: string
  /** What the request must bring: `reason`, `to_user`, `photos`, `demolished_if_so` … */
  needs: string[]
  /** What the case itself still lacks: refused until somebody has seen to it. */
  lacks: string[]
}

export interface ActionBody {
  id: string
  action: string
  expected_version?: number
  text?: string
  attachments?: string[]
  demolished_m2?: number
  outcome?: string
  to_user?: string
  reason?: string
  duplicate_of?: string
  deadline?: string
  authority?: string
  [field: string]: unknown
}

export const act = (caseId: string, body: ActionBody) =>
  call<{ case: Case; event: CaseEvent }>('POST', `/api/v1/cases/${caseId}/actions`, { body })

/** Each file of its own, under an id of our making: a retry is harmless. */
export async function attach(caseId: string, files: readonly File[]): Promise<Attachment[]> {
  const kept: Attachment[] = []
  for (const file of files) {
    const form = new FormData()
    form.append('id', newId())
    form.append('file', file, file.name)
    kept.push(await call<Attachment>('POST', `/api/v1/cases/${caseId}/attachments`, { body: form }))
  }
  return kept
}
