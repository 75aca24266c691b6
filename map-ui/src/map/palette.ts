/** Colours of the map, told apart also without red-green vision and on a poor projector. */
import type { LookupAnswer } from '@/api/types'

export type Category = NonNullable<LookupAnswer['category']>

/** In the order of the reports' columns. */
export const categoryColours: Record<Category, string> = {
  basic_farmland: '#2f8a5b',
  farmland: '#b5d77a',
  non_farmland: '#d8d2c4',
  homestead: '#e8955a',
  mine: '#8b6bb1',
}

export const categories = Object.keys(categoryColours) as Category[]

/** From few cases to many; the same ramp paints the heatmap and its legend. */
export const heatRamp = ['#fde9b8', '#fbc46d', '#f08b4b', '#d1493f', '#8c1d40'] as const

/** Where a case stands: open ones warm, ended ones cool. */
export const statusColours: Record<string, string> = {
  dispatched: '#c8362f',
  on_site: '#e07b28',
  stopped: '#d9a514',
  demolishing: '#b0562b',
  close_applied: '#4d86b8',
  closed: '#3f8f6b',
  rejected: '#8a949a',
  duplicate: '#8a949a',
  transferred: '#7a6aa6',
}

export const otherStatus = '#8a949a'

/** Boundary lines by level. */
export const boundaryColours: Record<string, string> = {
  city: '#233f55',
  district: '#6d4a7c',
  town: '#4f7390',
  village: '#7f98a5',
  cell: '#a7b4bb',
  functional_area: '#b3592f',
}

/** For overlay layers that somebody added. */
const extra = ['#0f7d8a', '#a8326b', '#5c6f1f', '#3c58a8', '#8a5a1a']

export function extraColour(index: number): string {
  return extra[index % extra.length] ?? '#0f7d8a'
}

export const ground = { sea: '#e6eef2', land: '#fbfaf5', halo: '#ffffff', ink: '#2b3b45', mark: '#1f6a8c' }
