/** A list of points pasted or uploaded, as the batch look-up wants it, and its answer. */
import Papa from 'papaparse'
import { readCoordinate } from '@/lookup/coordinate'

export interface PointList {
  /** With a header line. */
  csv: string
  lon: string
  lat: string
  rows: number
  /** Lines that hold no position, 1-based; they are sent along and come back with their error. */
  unread: number[]
  metres: boolean
}

const lonNames = /^(lon|lng|long|longitude|经度|东经|x|easting|东坐标|横坐标)$/i
const latNames = /^(lat|latitude|纬度|北纬|y|northing|北坐标|纵坐标)$/i

export type ListFault = 'empty' | 'columns'

/** Reads a table with a header that names its columns, or plain lines with two numbers each. */
export function readList(text: string): PointList | ListFault {
  const clean = text.replace(/^\ufeff/, '').trim()
  if (clean === '') return 'empty'
  const { data } = Papa.parse<string[]>(clean, { skipEmptyLines: 'greedy' })
  const header = (data[0] ?? []).map((cell) => cell.trim())
  const lon = header.findIndex((name) => lonNames.test(name))
  const lat = header.findIndex((name) => latNames.test(name))
  if (lon >= 0 && lat >= 0) {
    const rows = data.slice(1)
    const bad = rows.flatMap((row, index) => (isNumber(row[lon]) && isNumber(row[lat]) ? [] : [index + 1]))
    return {
      csv: Papa.unparse([header, ...rows]),
      lon: header[lon] ?? '',
      lat: header[lat] ?? '',
      rows: rows.length,
      unread: bad,
      metres: rows.some((row) => Math.abs(Number(row[lon])) > 360),
    }
  }
  const lines = clean.split(/\r?\n/).map((line) => line.trim()).filter(Boolean)
  const read = lines.map((line) => readCoordinate(line))
  if (read.every((one) => typeof one === 'string')) return 'columns'
  const rows = read.map((one, index) =>
    typeof one === 'string' ? [lines[index] ?? '', '', ''] : [lines[index] ?? '', String(one.x), String(one.y)],
  )
  return {
    csv: Papa.unparse([['input', 'lon', 'lat'], ...rows]),
    lon: 'lon',
    lat: 'lat',
    rows: rows.length,
    unread: read.flatMap((one, index) => (typeof one === 'string' ? [index + 1] : [])),
    metres: read.some((one) => typeof one !== 'string' && Math.abs(one.x) > 360),
  }
}

const isNumber = (cell: string | undefined) => cell !== undefined && cell.trim() !== '' && Number.isFinite(Number(cell))

export interface AnsweredList {
  columns: string[]
  rows: Record<string, string>[]
}

/** The CSV that came back. */
export function readAnswer(csv: string): AnsweredList {
  const { data, meta } = Papa.parse<Record<string, string>>(csv.replace(/^\ufeff/, ''), {
    header: true,
    skipEmptyLines: 'greedy',
  })
  return { columns: meta.fields ?? [], rows: data }
}
