/** The position of a form, and which cells it may mean. */
import type { KeptArea } from './model'
import { placeIn, type LocalPlace } from './patch'

export interface ChosenPosition {
  lon: number
  lat: number
  accuracy_m?: number
  crs: 'wgs84' | 'cgcs2000'
}

/** Metres of a degree of latitude; enough to walk round an accuracy circle. */
const metresPerDegree = 111_320
/** A larger circle names half the town and says nothing. */
const largestCircleM = 500

/** The place, and the other cells that the accuracy circle touches. */
export function placeAround(areas: readonly KeptArea[], at: ChosenPosition): LocalPlace & { others: KeptArea[] } {
  const place = placeIn(areas, at.lon, at.lat)
  const others = new Map<string, KeptArea>()
  const radius = Math.min(at.accuracy_m ?? 0, largestCircleM)
  for (let i = 0; radius > 0 && i < 24; i++) {
    const angle = (i / 24) * 2 * Math.PI
    const lat = at.lat + (Math.sin(angle) * radius) / metresPerDegree
    const lon = at.lon + (Math.cos(angle) * radius) / (metresPerDegree * Math.cos((at.lat * Math.PI) / 180))
    const { cell } = placeIn(areas, lon, lat)
    if (cell && cell.code !== place.cell?.code) others.set(cell.code, cell)
  }
  return { ...place, others: [...others.values()] }
}

/** Metres between two near positions, on a sphere: to sort and warn by, not to measure. */
export function roughMetres(a: { lon: number; lat: number }, b: { lon: number; lat: number }): number {
  const dx = (a.lon - b.lon) * Math.cos((((a.lat + b.lat) / 2) * Math.PI) / 180)
  return Math.hypot(dx, a.lat - b.lat) * metresPerDegree
}
