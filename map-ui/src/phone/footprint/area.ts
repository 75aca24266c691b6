/** Geodesic area of a drawn footprint on the CGCS2000 ellipsoid (C. F. F. Karney's GeographicLib). */
import type { Polygon, Position } from 'geojson'
import geodesic from 'geographiclib-geodesic'
import { orient2d } from 'robust-predicates'

const cgcs2000 = new geodesic.Geodesic.Geodesic(6378137, 1 / 298.257222101)

/** m²; 0 below three corners. */
export function areaOf(corners: readonly Position[]): number {
  if (corners.length < 3) return 0
  const polygon = cgcs2000.Polygon(false)
  for (const [lon = 0, lat = 0] of corners) polygon.AddPoint(lat, lon)
  return Math.abs(polygon.Compute(false, true).area ?? 0)
}

/** Metres between two positions, along the ellipsoid. */
export function distanceOf(a: Position, b: Position): number {
  return cgcs2000.Inverse(a[1] ?? 0, a[0] ?? 0, b[1] ?? 0, b[0] ?? 0).s12 ?? 0
}

function cross(a: Position, b: Position, c: Position, d: Position): boolean {
  const side = (p: Position, q: Position, r: Position) =>
    Math.sign(orient2d(p[0] ?? 0, p[1] ?? 0, q[0] ?? 0, q[1] ?? 0, r[0] ?? 0, r[1] ?? 0))
  return side(a, b, c) * side(a, b, d) < 0 && side(c, d, a) * side(c, d, b) < 0
}

/** Whether the outline runs through itself; the server refuses such a footprint. */
export function crossesItself(corners: readonly Position[]): boolean {
  const count = corners.length
  for (let i = 0; i < count; i++) {
    for (let j = i + 2; j < count; j++) {
      if (i === 0 && j === count - 1) continue
      const [a, b] = [corners[i], corners[(i + 1) % count]]
      const [c, d] = [corners[j], corners[(j + 1) % count]]
      if (a && b && c && d && cross(a, b, c, d)) return true
    }
  }
  return false
}

/** RFC 7946: closed, counter-clockwise. */
export function polygonOf(corners: readonly Position[]): Polygon | undefined {
  const first = corners[0]
  if (!first || corners.length < 3) return undefined
  let twice = 0
  corners.forEach(([x = 0, y = 0], i) => {
    const [nx = 0, ny = 0] = corners[(i + 1) % corners.length] ?? first
    twice += (x - (first[0] ?? 0)) * (ny - (first[1] ?? 0)) - (nx - (first[0] ?? 0)) * (y - (first[1] ?? 0))
  })
  const ring = twice < 0 ? [...corners].reverse() : [...corners]
  return { type: 'Polygon', coordinates: [[...ring, ring[0] as Position]] }
}

/** While walking: a corner where one has moved this far, m, with a fix at least this good, m. */
export const stepM = 3
export const walkAccuracyM = 15

/** Whether a fix on the walk is a new corner. */
export function isStep(last: Position | undefined, fresh: Position, accuracyM: number): boolean {
  return accuracyM <= walkAccuracyM && (!last || distanceOf(last, fresh) >= Math.max(stepM, accuracyM / 2))
}
