/**
 * What somebody pasted into the one box: a position, a case number, an area code or a name.
 * A position comes with the datums it may be of; where more than one fits, the dispatcher is asked.
 */
import { areMetres, readCoordinate, type Unreadable } from '@/lookup/coordinate'

export interface DatumChoice {
  crs: string
  /** How the kind of notation was told. */
  why: 'degrees' | 'zone' | 'meridian' | 'said'
}

export type Recognised =
  | { kind: 'empty' }
  | { kind: 'position'; x: number; y: number; swapped: boolean; choices: DatumChoice[]; sure: boolean }
  | { kind: 'case'; number: string }
  | { kind: 'code'; code: string }
  | { kind: 'text'; text: string }
  | { kind: 'unreadable'; why: Unreadable }

const width = (text: string) =>
  text.replace(/[\uff01-\uff5e]/g, (c) => String.fromCharCode(c.charCodeAt(0) - 0xfee0)).replace(/\u3000/g, ' ')

/** `350302-2026-000123`, also without leading zeros or with other dashes. */
const caseNumber = /^(?:案件|编号|no\.?|#|：|:|\s)*(\d{6})\s*[-‐–—－_/ ]\s*((?:19|20)\d{2})\s*[-‐–—－_/ ]\s*(\d{1,8})$/i

/** A datum that is named beside the numbers. */
const named: [RegExp, string][] = [
  [/cgcs\s*2000|国家\s*2000|大地\s*2000|epsg:4490/i, 'cgcs2000'],
  [/wgs\s*-?84|gps/i, 'wgs84'],
  [/gcj\s*-?0?2|火星|高德|腾讯|amap/i, 'gcj02'],
  [/bd\s*-?0?9|百度|baidu/i, 'bd09'],
  [/(epsg:\d{4,5})/i, ''],
]

function datumNamed(text: string): { crs?: string; rest: string } {
  for (const [pattern, crs] of named) {
    const match = pattern.exec(text)
    if (match) return { crs: crs || (match[1] ?? '').toUpperCase(), rest: text.replace(pattern, ' ') }
  }
  return { rest: text }
}

/** Central meridians of the 3-degree zones: zone number times three. */
const meridian = (zone: number) => zone * 3

/**
 * CGCS2000 / 3-degree Gauss-Krüger: with the zone in the easting, EPSG:4513 is zone 25; without,
 * EPSG:4534 is central meridian 75° E.
 */
function zoned(zone: number): string | undefined {
  return zone >= 25 && zone <= 45 ? `EPSG:${4513 + zone - 25}` : undefined
}
function unzoned(centralMeridian: number): string | undefined {
  const step = (centralMeridian - 75) / 3
  return Number.isInteger(step) && step >= 0 && step <= 20 ? `EPSG:${4534 + step}` : undefined
}
/** CGCS2000 / 6-degree Gauss-Krüger with zone number 13 to 23: EPSG:4491 to 4501. */
function sixDegree(zone: number): string | undefined {
  return zone >= 13 && zone <= 23 ? `EPSG:${4491 + zone - 13}` : undefined
}

/** The datums metres can be of; `home` is the longitude of the city, for eastings without a zone. */
export function metreChoices(easting: number, home: number): DatumChoice[] {
  const zone = Math.floor(easting / 1e6)
  if (zone > 0) {
    const crs = zoned(zone) ?? sixDegree(zone)
    return crs ? [{ crs, why: 'zone' }] : []
  }
  // A city works in the zone of its middle; its rim may lie in the next one.
  const near = Math.round(home / 3) * 3
  const other = home < near ? near - 3 : near + 3
  return [near, other].flatMap((cm) => {
    const crs = unzoned(cm)
    return crs ? [{ crs, why: 'meridian' as const }] : []
  })
}

/** Whether an easting of a zone without prefix can lie near the city at all: within 3° of its meridian. */
export function plausible(easting: number): boolean {
  const own = easting % 1e6
  return own > 150_000 && own < 850_000
}

/** Tells what was pasted. `home` is the longitude of the middle of the city, degrees. */
export function recognise(pasted: string, home = 119): Recognised {
  const text = width(pasted).trim()
  if (text === '') return { kind: 'empty' }
  const number = caseNumber.exec(text)
  if (number) {
    const [, area = '', year = '', serial = ''] = number
    return { kind: 'case', number: `${area}-${year}-${serial.padStart(6, '0')}` }
  }
  if (/^\d{6}(\d{3}(\d{3}(\d{3})?)?)?$/.test(text)) return { kind: 'code', code: text }

  const { crs, rest } = datumNamed(text)
  const read = readCoordinate(rest)
  if (typeof read === 'string') {
    // Words without a pair of numbers are a name; numbers that make no pair are a mistake to tell.
    if (read !== 'range' && /\p{L}/u.test(text) && !/\d+\.\d{3,}/.test(text)) return { kind: 'text', text }
    return { kind: 'unreadable', why: read }
  }
  const { x, y, swapped } = read
  const position = (choices: DatumChoice[], sure: boolean): Recognised => ({
    kind: 'position', x, y, swapped, choices, sure,
  })
  if (crs) return position([{ crs, why: 'said' }], true)
  if (areMetres(x, y)) {
    const choices = plausible(x) ? metreChoices(x, home) : []
    if (choices.length === 0) return { kind: 'unreadable', why: 'range' }
    return position(choices, choices.length === 1)
  }
  // Degrees do not tell their datum: GCJ-02 and BD-09 look the same and lie 500 to 1,200 m off.
  return position(
    ['wgs84', 'cgcs2000', 'gcj02', 'bd09'].map((name) => ({ crs: name, why: 'degrees' as const })),
    false,
  )
}

/** The meridian a code works with, for the label: `EPSG:4549` is 120° E. */
export function meridianOf(crs: string): number | undefined {
  const code = Number(/^EPSG:(\d+)$/.exec(crs)?.[1])
  if (code >= 4534 && code <= 4554) return 75 + (code - 4534) * 3
  if (code >= 4513 && code <= 4533) return meridian(25 + code - 4513)
  if (code >= 4491 && code <= 4501) return 6 * (13 + code - 4491) - 3
  return undefined
}
