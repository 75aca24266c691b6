/**
 * Containment by the server's own rule: a position is taken to lie an infinitesimal step east and
 * a far smaller one north, so no position is on a border and neighbours that share a border own
 * each position exactly once. Signs are exact (J. R. Shewchuk's predicates).
 */
import type { MultiPolygon, Polygon, Position } from 'geojson'
import { orient2d } from 'robust-predicates'

/** Whether the ray from the position towards +x crosses the edge a–b, taken from its lower end. */
function rayCrosses(x: number, y: number, a: Position, b: Position): boolean {
  const [ax = NaN, ay = NaN] = a
  const [bx = NaN, by = NaN] = b
  if (ay > y === by > y) return false
  if (x < ax && x < bx) return true
  if (x > ax && x > bx) return false
  // The library's y axis points down, so its sign is the other way round.
  return ay < by ? orient2d(ax, ay, bx, by, x, y) < 0 : orient2d(bx, by, ax, ay, x, y) < 0
}

function ringCrossings(ring: Position[], x: number, y: number): number {
  let count = 0
  for (let i = 1; i < ring.length; i++) {
    if (rayCrosses(x, y, ring[i - 1] as Position, ring[i] as Position)) count++
  }
  return count
}

export function contains(geometry: Polygon | MultiPolygon, lon: number, lat: number): boolean {
  const polygons = geometry.type === 'Polygon' ? [geometry.coordinates] : geometry.coordinates
  let crossings = 0
  for (const rings of polygons) for (const ring of rings) crossings += ringCrossings(ring, lon, lat)
  return crossings % 2 === 1
}

/** A position inside: the middle of the widest stretch of the parallel through the box's centre. */
export function pointInside(geometry: Polygon | MultiPolygon): Position | undefined {
  const polygons = geometry.type === 'Polygon' ? [geometry.coordinates] : geometry.coordinates
  const rings = polygons.flat()
  const latitudes = rings.flat().map((p) => p[1] as number)
  const [south, north] = [Math.min(...latitudes), Math.max(...latitudes)]
  // A parallel through a vertex may give a stretch of no width: several are tried.
  for (const share of [0.5, 0.47, 0.61, 0.33, 0.77]) {
    const y = south + (north - south) * share
    const cuts: number[] = []
    for (const ring of rings) {
      for (let i = 1; i < ring.length; i++) {
        const [ax = 0, ay = 0] = ring[i - 1] as Position
        const [bx = 0, by = 0] = ring[i] as Position
        if (ay > y !== by > y) cuts.push(ax + ((y - ay) / (by - ay)) * (bx - ax))
      }
    }
    cuts.sort((p, q) => p - q)
    let best: [number, number] | undefined
    for (let i = 1; i < cuts.length; i += 2) {
      const [from, to] = [cuts[i - 1] as number, cuts[i] as number]
      if (!best || to - from > best[1] - best[0]) best = [from, to]
    }
    const middle = best && (best[0] + best[1]) / 2
    if (middle !== undefined && contains(geometry, middle, y)) return [middle, y]
  }
  return undefined
}
