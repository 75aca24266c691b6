/** The findings of a check report as rows of tables, and where on the map each lies. */
import type { Feature, FeatureCollection, Geometry, Position } from 'geojson'
import type { ImportReport } from '@/api/imports'

export const kinds = ['rejected', 'repaired', 'duplicate_codes', 'overlaps', 'gaps', 'orphans', 'warnings'] as const
export type Kind = (typeof kinds)[number]

export interface Row {
  key: string
  record?: string
  code?: string
  area_m2?: number
  text?: string
  /** Where it is, if the report says so itself. */
  geometry?: Geometry
}

export type Box = [west: number, south: number, east: number, north: number]

/** How many there are; the lists are cut at a thousand. */
export function count(report: ImportReport, kind: Kind): number {
  const listed = report[kind]?.length ?? 0
  return kind === 'rejected' || kind === 'warnings' ? listed : Math.max(listed, report.totals?.[kind] ?? 0)
}

function place(geometry: unknown, position: number[] | undefined): Geometry | undefined {
  if (typeof geometry === 'object' && geometry !== null && 'type' in geometry) return geometry as Geometry
  return position?.length === 2 ? { type: 'Point', coordinates: position } : undefined
}

export function rows(report: ImportReport, kind: Kind): Row[] {
  switch (kind) {
    case 'rejected':
      return (report.rejected ?? []).map((r, i) => ({ key: `${i}`, record: `${r.record}`, code: r.code, text: r.reason }))
    case 'repaired':
      return (report.repaired ?? []).map((r, i) => ({ key: `${i}`, record: `${r.record}`, code: r.code, text: r.what }))
    case 'duplicate_codes':
      return (report.duplicate_codes ?? []).map((d, i) => ({ key: `${i}`, record: d.records.join(', '), code: d.code }))
    case 'overlaps':
      return (report.overlaps ?? []).map((o, i) => ({
        key: `${i}`,
        record: o.records.join(', '),
        code: o.codes.join(' × '),
        area_m2: o.area_m2,
        geometry: place(o.geometry, o.position),
      }))
    case 'gaps':
      return (report.gaps ?? []).map((g, i) => ({ key: `${i}`, area_m2: g.area_m2, geometry: place(g.geometry, g.position) }))
    case 'orphans':
      return (report.orphans ?? []).map((o, i) => ({
        key: `${i}`,
        record: `${o.record}`,
        code: o.code,
        text: [o.parent_code, o.reason].filter(Boolean).join(' · '),
      }))
    case 'warnings':
      return (report.warnings ?? []).map((w, i) => ({ key: `${i}`, code: w.code, text: w.detail }))
  }
}

/** The drawn features a row speaks of: those of its own geometry, else those of its code. */
export function featuresOf(row: Row, drawn: FeatureCollection | undefined): Feature[] {
  if (row.geometry) return [{ type: 'Feature', properties: {}, geometry: row.geometry }]
  if (!drawn || !(row.code || row.record)) return []
  const records = new Set((row.record ?? '').split(', '))
  return drawn.features.filter(({ properties }) => {
    if (properties?.record != null && row.record) return records.has(String(properties.record))
    return row.code !== undefined && properties?.code === row.code
  })
}

function positions(geometry: Geometry): Position[] {
  if (geometry.type === 'GeometryCollection') return geometry.geometries.flatMap(positions)
  const flat: Position[] = []
  const walk = (value: unknown): void => {
    if (!Array.isArray(value)) return
    if (typeof value[0] === 'number') flat.push(value as Position)
    else value.forEach(walk)
  }
  walk(geometry.coordinates)
  return flat
}

/** The box around features; `undefined` around nothing. */
export function boxOf(features: readonly Feature[]): Box | undefined {
  const box: Box = [Infinity, Infinity, -Infinity, -Infinity]
  for (const feature of features) {
    // RFC 7946 allows a feature without a place.
    if ((feature.geometry as Geometry | null) === null) continue
    for (const [x = NaN, y = NaN] of positions(feature.geometry)) {
      if (!Number.isFinite(x) || !Number.isFinite(y)) continue
      box[0] = Math.min(box[0], x)
      box[1] = Math.min(box[1], y)
      box[2] = Math.max(box[2], x)
      box[3] = Math.max(box[3], y)
    }
  }
  return box[0] <= box[2] ? box : undefined
}
