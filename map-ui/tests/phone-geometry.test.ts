import { describe, expect, it } from 'vitest'
import type { Polygon, Position } from 'geojson'
import { areaOf, crossesItself, distanceOf, isStep, polygonOf } from '@/phone/footprint/area'
import { placeAround, roughMetres } from '@/phone/place/chosen'
import { contains, pointInside } from '@/phone/place/halfOpen'
import type { KeptArea, Level } from '@/phone/place/model'
import { keptArea, placeIn } from '@/phone/place/patch'
import { better } from '@/phone/place/usePosition'

const square = (w: number, s: number, e: number, n: number): Polygon => ({
  type: 'Polygon',
  coordinates: [[[w, s], [e, s], [e, n], [w, n], [w, s]]],
})
const area = (code: string, level: Level, geometry: Polygon): KeptArea => {
  const ring = geometry.coordinates[0] as Position[]
  const [xs, ys] = [ring.map((p) => p[0] as number), ring.map((p) => p[1] as number)]
  return { code, name: code, level, bbox: [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)], geometry }
}

describe('half-open containment', () => {
  it('gives west and south borders to the polygon, east and north to the neighbour', () => {
    const one = square(119, 25, 119.01, 25.01)
    expect(contains(one, 119, 25.005)).toBe(true)
    expect(contains(one, 119.005, 25)).toBe(true)
    expect(contains(one, 119, 25)).toBe(true)
    expect(contains(one, 119.01, 25.005)).toBe(false)
    expect(contains(one, 119.005, 25.01)).toBe(false)
    expect(contains(one, 119.01, 25.01)).toBe(false)
  })

  it('owns every border position of a fan of polygons exactly once', () => {
    // Triangles round a centre: shared slanted edges and one shared vertex.
    const centre: Position = [119.123456789, 25.333333333]
    const rim: Position[] = Array.from({ length: 7 }, (_, i) => [
      centre[0]! + Math.round(Math.cos((i / 7) * 2 * Math.PI) * 1e7) / 1e9,
      centre[1]! + Math.round(Math.sin((i / 7) * 2 * Math.PI) * 1e7) / 1e9,
    ])
    const fan = rim.map((p, i): Polygon => ({ type: 'Polygon', coordinates: [[centre, p, rim[(i + 1) % 7]!, centre]] }))
    const owners = (x: number, y: number) => fan.filter((polygon) => contains(polygon, x, y)).length
    expect(owners(centre[0]!, centre[1]!)).toBe(1)
    for (const p of rim) {
      for (let k = 1; k < 50; k++) {
        const x = centre[0]! + ((p[0]! - centre[0]!) * k) / 50
        const y = centre[1]! + ((p[1]! - centre[1]!) * k) / 50
        expect(owners(x, y)).toBe(1)
      }
    }
  })

  it('leaves holes out', () => {
    const ring = square(0, 0, 10, 10)
    ring.coordinates.push([[4, 4], [4, 6], [6, 6], [6, 4], [4, 4]])
    expect(contains(ring, 5, 5)).toBe(false)
    expect(contains(ring, 2, 5)).toBe(true)
    const inside = pointInside(ring)
    expect(inside && contains(ring, inside[0]!, inside[1]!)).toBe(true)
  })
})

describe('a place in the patch', () => {
  const areas = [
    area('350302001', 'town', square(119, 25, 119.02, 25.02)),
    area('350302001001', 'village', square(119, 25, 119.01, 25.02)),
    area('350302001002', 'village', square(119.01, 25, 119.02, 25.02)),
    area('350302001001002', 'cell', square(119, 25, 119.01, 25.01)),
    area('350302001001001', 'cell', square(119, 25, 119.01, 25.01)),
    area('350302001002001', 'cell', square(119.01, 25, 119.02, 25.02)),
  ]

  it('is found on each level by itself; of overlapping ones the lowest code owns', () => {
    const place = placeIn(areas, 119.005, 25.005)
    expect([place.town?.code, place.village?.code, place.cell?.code]).toEqual(['350302001', '350302001001', '350302001001001'])
    expect(placeIn(areas, 119.01, 25.005).village?.code, 'the border is the eastern one’s').toBe('350302001002')
    expect(placeIn(areas, 118.9, 25.005)).toMatchObject({ cell: undefined, town: undefined })
  })

  it('names the other cells that the accuracy touches', () => {
    const near = placeAround(areas, { lon: 119.0098, lat: 25.005, accuracy_m: 50, crs: 'wgs84' })
    expect(near.cell?.code).toBe('350302001001001')
    expect(near.others.map((cell) => cell.code)).toEqual(['350302001002001'])
    expect(placeAround(areas, { lon: 119.005, lat: 25.005, accuracy_m: 10, crs: 'wgs84' }).others).toEqual([])
  })

  it('keeps only areas with a geometry and a box', () => {
    const properties = { code: '1', name: 'x', level: 'cell' as const, bbox: null }
    expect(keptArea({ type: 'Feature', geometry: square(0, 0, 1, 1), properties })).toBeUndefined()
  })
})

describe('footprints', () => {
  const corners: Position[] = [[119, 25.43], [119.001, 25.43], [119.001, 25.431], [119, 25.431]]

  it('are measured on the ellipsoid', () => {
    // Independent: a small quadrangle is metres per degree by the radii of curvature at mid latitude.
    const [a, f, phi] = [6378137, 1 / 298.257222101, (25.4305 * Math.PI) / 180]
    const e2 = f * (2 - f)
    const w = Math.sqrt(1 - e2 * Math.sin(phi) ** 2)
    const east = (a / w) * Math.cos(phi) * ((0.001 * Math.PI) / 180)
    const north = ((a * (1 - e2)) / w ** 3) * ((0.001 * Math.PI) / 180)
    expect(Math.abs(areaOf(corners) / (east * north) - 1)).toBeLessThan(1e-6)
    expect(areaOf([...corners].reverse())).toBeCloseTo(areaOf(corners), 6)
    expect(Math.abs(distanceOf([119, 25.43], [119.001, 25.43]) / east - 1)).toBeLessThan(1e-5)
    expect(areaOf(corners.slice(0, 2))).toBe(0)
  })

  it('are closed and counter-clockwise whichever way one walked', () => {
    for (const walked of [corners, [...corners].reverse()]) {
      const ring = polygonOf(walked)?.coordinates[0] as Position[]
      expect(ring).toHaveLength(5)
      expect(ring[0]).toEqual(ring[4])
      const twice = ring.slice(1).reduce((sum, p, i) => sum + (ring[i]![0]! * p[1]! - p[0]! * ring[i]![1]!), 0)
      expect(twice).toBeGreaterThan(0)
    }
    expect(polygonOf(corners.slice(0, 2))).toBeUndefined()
  })

  it('may not run through themselves', () => {
    expect(crossesItself(corners)).toBe(false)
    expect(crossesItself([corners[0]!, corners[2]!, corners[1]!, corners[3]!])).toBe(true)
  })

  it('get a corner from the walk only where the position is good enough', () => {
    expect(isStep(undefined, [119, 25.43], 8)).toBe(true)
    expect(isStep([119, 25.43], [119.00001, 25.43], 8)).toBe(false)
    expect(isStep([119, 25.43], [119.0001, 25.43], 8)).toBe(true)
    expect(isStep([119, 25.43], [119.001, 25.43], 500)).toBe(false)
  })
})

describe('positions', () => {
  it('a better or newer one replaces the old', () => {
    const old = { lon: 1, lat: 1, accuracy_m: 10, at: 0 }
    expect(better(undefined, old)).toBe(true)
    expect(better(old, { ...old, accuracy_m: 500, at: 1_000 })).toBe(false)
    expect(better(old, { ...old, accuracy_m: 5, at: 1_000 })).toBe(true)
    expect(better(old, { ...old, accuracy_m: 500, at: 20_000 })).toBe(true)
  })

  it('are roughly apart', () => {
    expect(roughMetres({ lon: 119, lat: 25.43 }, { lon: 119.001, lat: 25.43 })).toBeGreaterThan(100)
    expect(roughMetres({ lon: 119, lat: 25.43 }, { lon: 119.001, lat: 25.43 })).toBeLessThan(101)
  })
})
