import { describe, expect, it } from 'vitest'
import { formatArea, toMu } from '@/components/area'
import { daysBefore, today } from '@/map/days'
import { noFilters, tileQuery } from '@/map/filters'
import { labelPoints, type Piece } from '@/map/labels'

describe('tileQuery', () => {
  it('writes only the filters that are set', () => {
    expect(tileQuery(noFilters())).toBe('')
    expect(tileQuery({ ...noFilters(), from: '2026-01-01', status: ['on_site', 'stopped'] })).toBe(
      '?from=2026-01-01&status=on_site%2Cstopped',
    )
  })
})

describe('days', () => {
  it('are counted in Shanghai', () => {
    const late = new Date('2026-11-23T17:30:00Z')
    expect(today(late)).toBe('2026-11-24')
    expect(daysBefore(30, late)).toBe('2026-10-25')
  })
})

describe('areas', () => {
  it('are shown in m² and mu', () => {
    expect(toMu(2000)).toBeCloseTo(3, 12)
    expect(formatArea(8123.4, 'zh')).toBe('8,123.4 m² (12.19 亩)')
    expect(formatArea(2_500_000, 'en')).toBe('2.5 km² (3,750 mu)')
  })
})

describe('labelPoints', () => {
  const box = (code: string, x: number, size: number): Piece => ({
    code,
    name: `区${code}`,
    geometry: {
      type: 'Polygon',
      coordinates: [[[x, 0], [x + size, 0], [x + size, size], [x, size], [x, 0]]],
    },
  })
  const view: [number, number, number, number] = [0, 0, 10, 10]

  it('labels each area once, on its largest piece in view', () => {
    const points = labelPoints('town', [box('1', 0, 2), box('1', 2, 4), box('2', 8, 1), box('1', 20, 50)], view)
    expect(points.map((p) => [p.properties.name, p.geometry.coordinates])).toEqual([
      ['区1', [4, 2]],
      ['区2', [8.5, 0.5]],
    ])
  })

  it('leaves out pieces without name, area or known shape', () => {
    const nameless = { ...box('3', 0, 1), name: '' }
    const flat: Piece = { code: '4', name: 'x', geometry: { type: 'Polygon', coordinates: [[[0, 0], [1, 1], [0, 0]]] } }
    const point: Piece = { code: '5', name: 'y', geometry: { type: 'Point', coordinates: [1, 1] } }
    expect(labelPoints('town', [nameless, flat, point], view)).toEqual([])
  })
})
