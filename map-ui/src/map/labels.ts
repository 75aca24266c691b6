/**
 * Names of areas, one for each. Tiles cut an area into pieces, and a symbol layer on them would
 * write the name on every piece; so the pieces in view are gathered and the largest is labelled.
 */
import type { FeatureCollection, Point, Polygon, Position } from 'geojson'

export interface Piece {
  code: string
  name: string
  geometry: { type: string; coordinates?: unknown }
}

type Box = [west: number, south: number, east: number, north: number]
export type LabelPoints = FeatureCollection<Point, { name: string; level: string }>

/** Twice the planar area and centroid of a ring: good enough to place a name. */
function centre(ring: Position[]): { area: number; at: Position } | undefined {
  const [x0, y0] = ring[0] ?? []
  if (x0 === undefined || y0 === undefined) return undefined
  let area = 0
  let x = 0
  let y = 0
  for (let i = 1; i < ring.length; i++) {
    const [ax = x0, ay = y0] = ring[i - 1] ?? []
    const [bx = x0, by = y0] = ring[i] ?? []
    // About the first corner, so that large coordinates cancel nothing.
    const cross = (ax - x0) * (by - y0) - (bx - x0) * (ay - y0)
    area += cross
    x += (ax + bx - 2 * x0) * cross
    y += (ay + by - 2 * y0) * cross
  }
  if (area === 0) return undefined
  return { area: Math.abs(area), at: [x0 + x / (3 * area), y0 + y / (3 * area)] }
}

function rings(geometry: Piece['geometry']): Position[][] {
  const coordinates = geometry.coordinates
  if (geometry.type === 'Polygon') return (coordinates as Polygon['coordinates']).slice(0, 1)
  if (geometry.type === 'MultiPolygon') return (coordinates as Polygon['coordinates'][]).flatMap((p) => p.slice(0, 1))
  return []
}

function within([x = NaN, y = NaN]: Position, [west, south, east, north]: Box): boolean {
  return x >= west && x <= east && y >= south && y <= north
}

/** One point per area; of its pieces the largest whose middle is in view. */
export function labelPoints(level: string, pieces: Piece[], view: Box): LabelPoints['features'] {
  const best = new Map<string, { area: number; at: Position; name: string }>()
  for (const { code, name, geometry } of pieces) {
    if (!name) continue
    for (const ring of rings(geometry)) {
      const found = centre(ring)
      if (!found || !within(found.at, view)) continue
      if (found.area > (best.get(code)?.area ?? 0)) best.set(code, { ...found, name })
    }
  }
  return [...best.values()].map(({ at, name }) => ({
    type: 'Feature',
    geometry: { type: 'Point', coordinates: at },
    properties: { name, level },
  }))
}
