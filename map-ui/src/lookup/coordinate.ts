/** Reads the coordinate that somebody typed or pasted. */

/** Longitude or easting first, as the API wants it. */
export interface Coordinate {
  x: number
  y: number
  /** Was written the other way round: latitude, or the northing, first. */
  swapped: boolean
}

export type Unreadable = 'empty' | 'format' | 'range'

const label = /[经纬]度?|东坐标|北坐标|longitude|latitude|lon|lng|lat|[xy](?=\s*[:=])|[:=]/gi
const number = String.raw`([+-]?\d+(?:\.\d+)?)`
/** Degrees, with minutes and seconds where a degree sign follows. */
const angle = String.raw`${number}\s*(?:[°º度]\s*(?:(\d+(?:\.\d+)?)\s*['′’分]\s*(?:(\d+(?:\.\d+)?)\s*(?:["″”秒]|''|′′)\s*)?)?)?`
const side = '[EWNS东西南北]'
const part = new RegExp(`(${side})\\s*${angle}|${angle}\\s*(${side})?`, 'gi')

interface Part {
  value: number
  /** E or N after signs are settled. */
  axis?: 'E' | 'N'
}

function plain(text: string): string {
  return text
    .replace(/[\uff01-\uff5e]/g, (c) => String.fromCharCode(c.charCodeAt(0) - 0xfee0))
    .replace(/[、\u3000]/g, ' ')
    .replace(label, ' ')
}

function readPart(match: RegExpMatchArray): Part {
  const prefixed = match[1] !== undefined
  const [degrees, minutes, seconds] = prefixed ? match.slice(2, 5) : match.slice(5, 8)
  const letter = (prefixed ? match[1] : match[8])?.toUpperCase()
  const whole = Number(degrees)
  const size = Math.abs(whole) + Number(minutes ?? 0) / 60 + Number(seconds ?? 0) / 3600
  const negative = degrees?.startsWith('-') || letter === 'W' || letter === '西' || letter === 'S' || letter === '南'
  const axis = letter === undefined ? undefined : 'EW东西'.includes(letter) ? 'E' : 'N'
  return { value: negative ? -size : size, axis }
}

/** Whether two numbers are metres of a projection rather than degrees. */
export function areMetres(x: number, y: number): boolean {
  return Math.abs(x) > 360 || Math.abs(y) > 360
}

/** Whether the first number can only be the latitude or the northing (in China). */
function northFirst(first: number, second: number): boolean {
  if (!areMetres(first, second)) return Math.abs(first) <= 90 && Math.abs(second) > 90
  const northing = first >= 1e6 && first < 6.5e6
  const easting = (second >= 1e5 && second < 1e6) || (second >= 13e6 && second < 46e6)
  return northing && easting
}

/** Two numbers in any usual notation: decimal, degrees-minutes-seconds, metres. */
export function readCoordinate(input: string): Coordinate | Unreadable {
  const text = plain(input)
  if (text.trim() === '') return 'empty'
  const rest = text.replace(part, ' ')
  if (!/^[\s,;/|()[\]]*$/.test(rest)) return 'format'
  const [first, second, more] = [...text.matchAll(part)].map(readPart)
  if (!first || !second || more) return 'format'
  if (first.axis !== undefined && first.axis === second.axis) return 'format'

  const named = first.axis !== undefined || second.axis !== undefined
  const swapped = named ? first.axis === 'N' || second.axis === 'E' : northFirst(first.value, second.value)
  const [x, y] = swapped ? [second.value, first.value] : [first.value, second.value]
  const inRange = areMetres(x, y)
    ? Math.abs(x) < 1e8 && Math.abs(y) < 2e7
    : Math.abs(x) <= 180 && Math.abs(y) <= 90
  return inRange ? { x, y, swapped } : 'range'
}
