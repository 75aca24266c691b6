/**
 * Imports of boundary files. The server keeps their check report as a document and describes it as
 * an open object, so its shape is written down here: the contract's, where every part may be
 * missing while the file is being read.
 */
import { api, unwrap } from './client'
import type { FeatureCollection } from 'geojson'

export type ImportState = 'reading' | 'ready' | 'published' | 'discarded' | 'failed'

export interface ImportReport {
  import_id: string
  layer: string
  state: ImportState
  /** Part done, 0 to 1. */
  progress?: number
  file_name?: string
  created_at?: string
  source_layer?: string
  crs?: string
  encoding?: string
  read?: number
  accepted?: number
  /** `record` is 1-based in the source. */
  repaired?: { record: number; code: string; what: string }[]
  rejected?: { record: number; code: string; reason: string }[]
  warnings?: { code: string; detail: string }[]
  duplicate_codes?: { code: string; records: number[] }[]
  gaps?: { area_m2: number; position?: number[]; geometry?: unknown }[]
  overlaps?: { codes: string[]; records: number[]; area_m2: number; position?: number[]; geometry?: unknown }[]
  orphans?: { record: number; code: string; parent_code?: string | null; reason: string }[]
  /** How many there are of each; the lists are cut at a thousand. */
  totals?: Partial<Record<'repaired' | 'duplicate_codes' | 'gaps' | 'overlaps' | 'orphans', number>>
  changes?: Partial<
    Record<'added' | 'removed' | 'moved' | 'renamed' | 'unchanged' | 'area_m2' | 'cases_reassigned', number>
  >
  /** Why it failed. */
  error?: { code: string; detail?: string }
}

/** What the draft and the findings look like on a map; property `kind` says which is which. */
export interface ImportGeometry extends FeatureCollection {
  /** Not all of the draft is in it. */
  truncated?: boolean
}

const of = (id: string) => ({ params: { path: { id } } })

export async function listImports(): Promise<ImportReport[]> {
  const { items } = await unwrap(api.GET('/api/v1/imports'))
  return items as unknown as ImportReport[]
}

export async function readImport(id: string): Promise<ImportReport> {
  return (await unwrap(api.GET('/api/v1/imports/{id}', of(id)))) as unknown as ImportReport
}

export async function readGeometry(id: string): Promise<ImportGeometry> {
  return (await unwrap(api.GET('/api/v1/imports/{id}/geometry', of(id)))) as unknown as ImportGeometry
}

export async function publishImport(id: string, acceptRejected: boolean): Promise<void> {
  await unwrap(api.POST('/api/v1/imports/{id}/publish', { ...of(id), body: { accept_rejected: acceptRejected } }))
}

export async function discardImport(id: string): Promise<void> {
  await unwrap(api.POST('/api/v1/imports/{id}/discard', of(id)))
}
