import { describe, expect, it } from 'vitest'
import { readCoordinate } from '@/lookup/coordinate'
import { contradicts } from '@/lookup/datum'

const here = { x: 119.0078, y: 25.454 }

describe('readCoordinate', () => {
  it.each([
    '119.0078,25.4540',
    '119.0078 25.4540',
    ' 119.0078，25.4540 ',
    '１１９．００７８、２５．４５４０',
    'E119.0078 N25.4540',
    '119.0078E, 25.4540N',
    '119.0078° 25.4540°',
    '经度：119.0078 纬度：25.4540',
    'lon=119.0078, lat=25.4540',
    '(119.0078, 25.4540)',
    '东119.0078 北25.4540',
  ])('reads %s', (text) => {
    expect(readCoordinate(text)).toEqual({ ...here, swapped: false })
  })

  it.each(['25.4540, 119.0078', 'N25.4540 E119.0078', '25.4540N 119.0078E', '纬度25.4540 经度119.0078'])(
    'turns %s round',
    (text) => {
      expect(readCoordinate(text)).toEqual({ ...here, swapped: true })
    },
  )

  it.each([`119°00'28.08"E 25°27'14.4"N`, '119°0′28.08″ 25°27′14.4″', '东经119度0分28.08秒 北纬25度27分14.4秒'])(
    'reads degrees, minutes and seconds: %s',
    (text) => {
      const read = readCoordinate(text)
      expect(read).toMatchObject({ swapped: false })
      if (typeof read === 'string') return
      expect(read.x).toBeCloseTo(119.0078, 9)
      expect(read.y).toBeCloseTo(25.454, 9)
    },
  )

  it('reads metres, with and without zone number, either way round', () => {
    expect(readCoordinate('399400.84, 2814064.89')).toEqual({ x: 399400.84, y: 2814064.89, swapped: false })
    expect(readCoordinate('X=2814064.89 Y=399400.84')).toEqual({ x: 399400.84, y: 2814064.89, swapped: true })
    expect(readCoordinate('2814064.89 40399400.84')).toEqual({ x: 40399400.84, y: 2814064.89, swapped: true })
  })

  it('keeps the sides west and south', () => {
    expect(readCoordinate('70.5W 33.25S')).toEqual({ x: -70.5, y: -33.25, swapped: false })
  })

  it.each([
    ['', 'empty'],
    ['   ', 'empty'],
    ['119.0078', 'format'],
    ['1 2 3', 'format'],
    ['莆田市', 'format'],
    ['NaN, 25', 'format'],
    ['119N 25N', 'format'],
    ['119.0078; DROP', 'format'],
    ['200, 25', 'range'],
    ['119, 95', 'range'],
    ['1e999, 3', 'format'],
  ])('refuses %j as %s', (text, reason) => {
    expect(readCoordinate(text)).toBe(reason)
  })
})

describe('contradicts', () => {
  it('notices metres given for degrees and the reverse, and leaves unknown codes alone', () => {
    expect(contradicts('gcj02', true)).toBe('metres')
    expect(contradicts('EPSG:4549', false)).toBe('degrees')
    expect(contradicts('wgs84', false)).toBeUndefined()
    expect(contradicts('EPSG:4548', true)).toBeUndefined()
  })
})
