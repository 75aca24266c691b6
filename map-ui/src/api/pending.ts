/**
 * Endpoints whose answers the OpenAPI document leaves open, or that a server of an older version
 * lacks. What may be missing says so, and the pages bear it.
 */
import { call, type Page, type Query } from './call'
import type { Case, CasePlace } from './cases'

// ---- People, duties, absences, tokens, audit

export interface PersonItem {
  id: string
  phone: string
  name: string
  role: string
  area_code: string
  department?: string | null
  language?: string
  active: boolean
  /** Has a password. */
  activated: boolean
  must_change_password?: boolean
  locked_until?: string | null
  left_at?: string | null
}

export const listPeople = (query: Query, signal?: AbortSignal) =>
  call<Page<PersonItem>>('GET', '/api/v1/people', { query, signal })
export const readPerson = (id: string) => call<PersonItem>('GET', `/api/v1/people/${id}`)
export const savePerson = (id: string | undefined, body: Record<string, unknown>) =>
  id ? call<PersonItem>('PATCH', `/api/v1/people/${id}`, { body }) : call<PersonItem>('POST', '/api/v1/people', { body })
export const activatePerson = (id: string) =>
  call<{ person: PersonItem; password: string }>('POST', `/api/v1/people/${id}/activate`, { body: {} })
export const personLeaves = (id: string, body: { id: string; to: string }) =>
  call<Record<string, unknown>>('POST', `/api/v1/people/${id}/leave`, { body })

/** What an import of a table did, or would do, row by row. */
export interface SheetReport {
  read: number
  accepted: number
  updated: number
  unchanged: number
  removed: number
  rejected: RowRemark[]
  warnings: RowRemark[]
}
export interface RowRemark {
  /** The header is 1. */
  row: number
  code: string
  detail: string
}

export function importSheet(kind: 'people' | 'duties', file: File, dryRun: boolean): Promise<SheetReport> {
  const form = new FormData()
  form.append('file', file, file.name)
  return call('POST', `/api/v1/${kind}/import`, { query: { dry_run: dryRun }, body: form })
}

export interface Duty {
  id: number
  code: string
  nature: string
  rank: Rank
  person_id: string
  name: string
  phone: string
  role: string
}
export type Rank = 'primary' | 'backup'
/** Who answers for a cell or area, for a nature, in a rank; nobody with `null`. */
export interface Stroke {
  code: string
  nature: string
  rank: Rank
  person_id: string | null
}

export const listDuties = (query: Query, signal?: AbortSignal) =>
  call<Page<Duty>>('GET', '/api/v1/duties', { query, signal })
export const paintDuties = (id: string, duties: Stroke[]) => call<unknown>('PUT', '/api/v1/duties', { body: { id, duties } })

export interface Gap {
  code: string
  name?: string | null
  level: string
  nature?: string
  natures?: string[]
  reason?: string
  found_by?: string | null
  answered_by?: string | null
  [field: string]: unknown
}
export const listGaps = (query: Query, signal?: AbortSignal) => call<Page<Gap>>('GET', '/api/v1/gaps', { query, signal })

export interface Absence {
  id: string
  person_id: string
  name: string
  phone: string
  /** Asia/Shanghai, both included. */
  first_day: string
  last_day: string
  reason?: string | null
  cancelled_at?: string | null
}
export const listAbsences = (query: Query = {}, signal?: AbortSignal) =>
  call<Page<Absence>>('GET', '/api/v1/absences', { query, signal })
export const addAbsence = (body: Record<string, unknown>) => call<Absence>('POST', '/api/v1/absences', { body })
export const removeAbsence = (id: string) => call<void>('DELETE', `/api/v1/absences/${id}`)

export interface Token {
  id: string
  name: string
  scope: string
  created_at: string
  expires_at: string
  last_used_at?: string | null
  revoked_at?: string | null
  /** Shown once, when it is made. */
  token?: string
}
export const listTokens = (signal?: AbortSignal) => call<Page<Token>>('GET', '/api/v1/tokens', { signal })
export const addToken = (body: { id: string; name: string; scope: string; days: number }) =>
  call<Token>('POST', '/api/v1/tokens', { body })
export const removeToken = (id: string) => call<void>('DELETE', `/api/v1/tokens/${id}`)

export interface AuditEntry {
  id: number
  at: string
  actor_id?: string | null
  /** Where the server tells it. */
  actor_name?: string | null
  actor?: { id: string; name: string } | null
  address?: string | null
  action: string
  subject: string
  before?: unknown
  after?: unknown
}
export const listAudit = (query: Query, signal?: AbortSignal) =>
  call<Page<AuditEntry>>('GET', '/api/v1/audit', { query, signal })

// ---- Settings

export interface Setting {
  key: string
  value: unknown
  /** 0 while the default holds. */
  revision: number
  changed_at?: string | null
  changed_by?: string | null
}
export const readSetting = (key: string, signal?: AbortSignal) => call<Setting>('GET', `/api/v1/settings/${key}`, { signal })
export const writeSetting = (key: string, body: { value: unknown; reason?: string; expected_revision: number }) =>
  call<Setting>('PUT', `/api/v1/settings/${key}`, { body })
export interface PastValue {
  revision: number
  value: unknown
  changed_at: string
  changed_by_name?: string | null
  reason?: string | null
}
export const settingHistory = (key: string) => call<Page<PastValue>>('GET', `/api/v1/settings/${key}/history`)

// ---- Tasks and public reports

export interface Task {
  id: string
  title: string
  text?: string | null
  case_id?: string | null
  due_at: string
  status: string
}
export const giveTask = (body: Record<string, unknown>) => call<Task>('POST', '/api/v1/tasks', { body })

export interface PublicReport {
  id: string
  state: 'new' | 'accepted' | 'declined'
  created_at: string
  lon: number
  lat: number
  accuracy_m?: number | null
  text: string
  reporter_phone?: string | null
  photos: { id: string; media_type: string; url: string }[]
  place: CasePlace
  case_id?: string | null
  case_number?: string | null
  reason?: string | null
  decided_by?: string | null
  decided_at?: string | null
}
export const listPublicReports = (query: Query, signal?: AbortSignal) =>
  call<Page<PublicReport>>('GET', '/api/v1/public-reports', { query, signal })
export const acceptReport = (id: string, body: Record<string, unknown>) =>
  call<{ report: PublicReport; case: Case }>(
    'POST', `/api/v1/public-reports/${id}/accept`, { body })
export const declineReport = (id: string, body: { id: string; reason: string }) =>
  call<PublicReport>('POST', `/api/v1/public-reports/${id}/decline`, { body })

// ---- Places, filters, layers, versions

export interface PlaceHit {
  kind: string
  code: string
  name: string
  /** The areas around it, from large to small. */
  path?: string[]
  lon: number
  lat: number
  bbox?: [number, number, number, number] | null
}
export const searchPlaces = async (q: string, signal?: AbortSignal) =>
  (await call<Page<PlaceHit>>('GET', '/api/v1/places', { query: { q, limit: 12 }, signal })).items

export interface SavedFilter {
  id: string
  name: string
  desk: string
  query: Record<string, string>
}
export const listFilters = async (desk: string, signal?: AbortSignal) =>
  (await call<Page<SavedFilter>>('GET', '/api/v1/filters', { query: { desk }, signal })).items
export const saveFilter = (body: SavedFilter) => call<SavedFilter>('POST', '/api/v1/filters', { body })
export const removeFilter = (id: string) => call<void>('DELETE', `/api/v1/filters/${id}`)

export interface LayerStyle {
  fill?: string
  fill_opacity?: number
  line?: string
  line_width?: number
  dash?: number[]
  min_zoom?: number
}
export const readStyles = async (signal?: AbortSignal) =>
  call<Record<string, LayerStyle>>('GET', '/api/v1/layers/styles', { signal })
export const writeStyle = (layer: string, style: LayerStyle) =>
  call<LayerStyle>('PUT', `/api/v1/layers/${layer}/style`, { body: style })
export const exportFormats = ['geojson', 'gpkg', 'shp', 'fgb'] as const

export interface Generation {
  generation: number
  layer: string
  title_zh?: string
  title_en?: string
  published_at: string
  published_by?: string | null
  import_id?: string | null
  file_name?: string | null
  /** Features that came and went with it. */
  added: number
  removed: number
  features: number
  current: boolean
  can_roll_back: boolean
}
export const listGenerations = (query: Query, signal?: AbortSignal) =>
  call<Page<Generation>>('GET', '/api/v1/generations', { query, signal })
export const rollBack = (generation: number) =>
  call<{ import_id: string }>('POST', `/api/v1/generations/${generation}/rollback`, { body: {} })

// ---- Figures

export const reportNames = [
  'cases', 'patrollers', 'success', 'attendance', 'demolition', 'departments', 'land',
] as const

/** What stands behind a figure: a list of the API, and how long it is. */
export interface Behind {
  path: string
  query: string
  count: number
}

/** A row of any report; which columns it has is the report's own. */
export interface ReportRow {
  code?: string | null
  name?: string | null
  parent_code?: string | null
  groups?: string[]
  lists?: Record<string, Behind>
  [column: string]: unknown
}
export interface ReportColumn {
  key: string
  title: string
  kind: 'count' | 'area' | 'rate' | 'change'
}
export interface Report {
  title: string
  as_of: string
  generation: number
  area: { code: string; name: string; level: string }
  level: string
  from: string
  to: string
  columns: ReportColumn[]
  rows: ReportRow[]
  subtotals?: ReportRow[]
  total: ReportRow
  /** The formulas, and what else a reader must know. */
  foot?: string[]
}
export const readReport = (name: string, query: Query, signal?: AbortSignal) =>
  call<Report>('GET', `/api/v1/reports/${name}`, { query: { ...query, format: 'json' }, signal })

export interface TimelinePoint {
  /** First day of the step. */
  day?: string
  from?: string
  at?: string
  found?: number
  reported?: number
  closed?: number
  open?: number
  demolished_m2?: number
  [field: string]: unknown
}
export const readTimeline = (query: Query, signal?: AbortSignal) =>
  call<{ items?: TimelinePoint[]; rows?: TimelinePoint[]; steps?: TimelinePoint[] }>('GET', '/api/v1/stats/timeline', { query, signal })
