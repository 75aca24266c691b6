/** The datums and projections a coordinate may be given in. */

/** Those offered by name; anything else is typed as `EPSG:n`. */
export const datums = ['wgs84', 'cgcs2000', 'gcj02', 'bd09', 'EPSG:4549', 'EPSG:4528'] as const

/** The choice that opens the text field. */
export const otherDatum = 'other'

const geographic = new Set(['wgs84', 'cgcs2000', 'gcj02', 'bd09', 'EPSG:4490', 'EPSG:4326'])

/** Whether the numbers cannot be of this datum: metres for degrees, or the reverse. */
export function contradicts(crs: string, metres: boolean): 'metres' | 'degrees' | undefined {
  if (geographic.has(crs)) return metres ? 'metres' : undefined
  if ((datums as readonly string[]).includes(crs)) return metres ? undefined : 'degrees'
  return undefined
}
