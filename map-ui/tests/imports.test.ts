import { describe, expect, it } from 'vitest'
import type { FeatureCollection } from 'geojson'
import type { ImportReport } from '@/api/imports'
import { filesFault } from '@/imports/files'
import { boxOf, count, featuresOf, rows } from '@/imports/findings'
import { importForm, noChoices } from '@/imports/upload'

describe('filesFault', () => {
  it.each([
    [['a.zip'], undefined],
    [['A.GPKG'], undefined],
    [['a.shp', 'a.dbf', 'a.prj', 'a.cpg'], undefined],
    [[], 'none'],
    [['a.docx'], 'kind'],
    [['a.zip', 'b.zip'], 'mixed'],
    [['a.shp', 'a.dbf', 'b.shp'], 'mixed'],
    [['a.dbf'], 'noShp'],
    [['a.shp'], 'noDbf'],
    [['noending'], 'kind'],
  ] as const)('%j → %s', (names, fault) => {
    expect(filesFault(names)).toBe(fault)
  })
})

describe('importForm', () => {
  it('sends what is said, before the files, and leaves out what is not', () => {
    const form = importForm([new File(['x'], '图斑.zip')], { ...noChoices(), layer: 'parcel', crs: ' EPSG:4549 ' })
    expect([...form.keys()]).toEqual(['layer', 'crs', 'file'])
    expect(form.get('crs')).toBe('EPSG:4549')
    expect((form.get('file') as File).name).toBe('图斑.zip')
  })
})

const square = { type: 'Polygon', coordinates: [[[1, 2], [3, 2], [3, 5], [1, 5], [1, 2]]] } as const
const report = {
  layer: 'town',
  state: 'ready',
  rejected: [{ record: 4, code: 'D', reason: 'r' }],
  overlaps: [{ codes: ['A', 'B'], records: [1, 2], area_m2: 3.5, position: [2, 3], geometry: square }],
  gaps: [{ area_m2: 1, position: [7, 8], geometry: null }],
  totals: { overlaps: 2500 },
} as unknown as ImportReport
const drawn = {
  type: 'FeatureCollection',
  features: [
    { type: 'Feature', properties: { kind: 'draft', code: 'A', record: 1 }, geometry: square },
    { type: 'Feature', properties: { kind: 'rejected', code: 'D', record: 4 }, geometry: square },
    { type: 'Feature', properties: { kind: 'rejected', code: 'D', record: 5 }, geometry: null },
  ],
} as unknown as FeatureCollection

describe('findings', () => {
  it('counts what the lists leave out', () => {
    expect(count(report, 'overlaps')).toBe(2500)
    expect(count(report, 'rejected')).toBe(1)
    expect(count(report, 'orphans')).toBe(0)
  })

  it('finds the place of a row in the report or among the drawn features', () => {
    const overlap = rows(report, 'overlaps')[0]!
    expect(boxOf(featuresOf(overlap, undefined))).toEqual([1, 2, 3, 5])
    const gap = rows(report, 'gaps')[0]!
    expect(boxOf(featuresOf(gap, drawn))).toEqual([7, 8, 7, 8])
    const rejected = rows(report, 'rejected')[0]!
    expect(featuresOf(rejected, drawn)).toHaveLength(1)
    expect(boxOf([])).toBeUndefined()
    expect(boxOf(drawn.features.slice(2))).toBeUndefined()
  })
})
