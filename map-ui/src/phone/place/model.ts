/** The person's own patch, kept on the phone so that places are known without signal. */
import type { MultiPolygon, Polygon } from 'geojson'
import type { Responsible } from '@/api/types'

export type Level = 'city' | 'district' | 'functional_area' | 'town' | 'village' | 'cell'

export interface KeptArea {
  code: string
  name: string
  level: Level
  parent_code?: string | null
  /** West, south, east, north; degrees CGCS2000. */
  bbox: [number, number, number, number]
  geometry: Polygon | MultiPolygon
  /** Who answers for a cell, as of the download. */
  responsible?: Responsible | null
}

/** What of a patch is on the phone. */
export interface PatchFact {
  area_code: string
  name: string
  person: string
  cells: number
  villages: number
  at: number
}
