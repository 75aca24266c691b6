import { describe, expect, it } from 'vitest'
import { meridianOf, recognise } from '@/dispatch/recognise'
import { boxAround, metresBetween } from '@/lookup/near'

describe('recognise', () => {
  it.each(['119.0078,25.4540', '１１９．００７８，２５．４５４０', '25.4540 119.0078', `119°00'28.08"E 25°27'14.4"N`])(
    'reads degrees and asks for the datum: %s',
    (text) => {
      const found = recognise(text)
      expect(found).toMatchObject({ kind: 'position', sure: false })
      if (found.kind !== 'position') return
      expect(found.x).toBeCloseTo(119.0078, 9)
      expect(found.y).toBeCloseTo(25.454, 9)
      expect(found.choices.map((choice) => choice.crs)).toEqual(['wgs84', 'cgcs2000', 'gcj02', 'bd09'])
    },
  )

  it.each([
    ['119.0078,25.4540 高德', 'gcj02'],
    ['百度 119.0078,25.4540', 'bd09'],
    ['GCJ-02 119.0078 25.4540', 'gcj02'],
    ['WGS84 119.0078 25.4540', 'wgs84'],
    ['CGCS2000: 119.0078, 25.4540', 'cgcs2000'],
    ['EPSG:4548 399400.84, 2814064.89', 'EPSG:4548'],
  ])('takes the datum that is named: %s', (text, crs) => {
    expect(recognise(text)).toMatchObject({ kind: 'position', sure: true, choices: [{ crs, why: 'said' }] })
  })

  it('knows the zone of metres that carry it', () => {
    expect(recognise('40399400.84, 2814064.89')).toMatchObject({
      kind: 'position', x: 40399400.84, y: 2814064.89, sure: true, choices: [{ crs: 'EPSG:4528', why: 'zone' }],
    })
    // Xianyou's westernmost parts lie in zone 39; written northing first.
    expect(recognise('2814064.89 39650000')).toMatchObject({ swapped: true, choices: [{ crs: 'EPSG:4527' }] })
    // 6-degree zone 20 has central meridian 117° E.
    expect(recognise('20701000, 2814000')).toMatchObject({ choices: [{ crs: 'EPSG:4498' }] })
  })

  it('asks which meridian metres without a zone are of, the nearest to the city first', () => {
    expect(recognise('399400.84, 2814064.89', 119)).toMatchObject({
      sure: false, choices: [{ crs: 'EPSG:4549' }, { crs: 'EPSG:4548' }],
    })
    expect(recognise('X=2814064.89 Y=399400.84', 119)).toMatchObject({ x: 399400.84, swapped: true })
  })

  it('knows case numbers and area codes', () => {
    expect(recognise('350302-2026-000123')).toEqual({ kind: 'case', number: '350302-2026-000123' })
    expect(recognise('案件：350302－2026－123')).toEqual({ kind: 'case', number: '350302-2026-000123' })
    expect(recognise('350302100')).toEqual({ kind: 'code', code: '350302100' })
    expect(recognise('350302100001001')).toEqual({ kind: 'code', code: '350302100001001' })
  })

  it('takes words for a name', () => {
    expect(recognise(' 新度镇 ')).toEqual({ kind: 'text', text: '新度镇' })
    expect(recognise('Xindu 2')).toEqual({ kind: 'text', text: 'Xindu 2' })
    expect(recognise('拱辰街道 3 组')).toEqual({ kind: 'text', text: '拱辰街道 3 组' })
  })

  it.each([
    ['119.0078', 'format'],
    ['200.5, 25.1', 'range'],
    ['40999999, 2814064', 'range'],
    ['99399400, 2814064', 'range'],
    ['1 2 3', 'format'],
  ])('says why %s cannot be read', (text, why) => {
    expect(recognise(text)).toEqual({ kind: 'unreadable', why })
  })

  it('has nothing to say of nothing', () => {
    expect(recognise('  ')).toEqual({ kind: 'empty' })
  })
})

describe('meridianOf', () => {
  it('agrees with the register of EPSG', () => {
    expect(meridianOf('EPSG:4549')).toBe(120)
    expect(meridianOf('EPSG:4528')).toBe(120)
    expect(meridianOf('EPSG:4548')).toBe(117)
    expect(meridianOf('EPSG:4498')).toBe(117)
    expect(meridianOf('wgs84')).toBeUndefined()
  })
})

describe('near', () => {
  it('measures and boxes', () => {
    const a = { lon: 119, lat: 25.43 }
    // One minute of latitude on the sphere is a nautical mile.
    expect(metresBetween(a, { lon: 119, lat: 25.43 + 1 / 60 })).toBeCloseTo(1853.25, 1)
    const [west, south, east, north] = boxAround(a, 500)
    expect(metresBetween(a, { lon: east, lat: 25.43 })).toBeCloseTo(500, 0)
    expect(metresBetween(a, { lon: 119, lat: south })).toBeCloseTo(500, 0)
    expect(west).toBeLessThan(119)
    expect(north).toBeGreaterThan(25.43)
  })
})
