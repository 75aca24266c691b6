/** Which files may be dropped, and what of a shapefile is missing. */

/** Parts of a shapefile besides `.shp`. */
const companions = ['shx', 'dbf', 'prj', 'cpg', 'qix', 'sbn', 'sbx', 'xml', 'qmd']
const single = ['zip', 'gpkg', 'geojson', 'json', 'fgb']

/** For the file dialog. */
export const accepted = [...single, 'shp', ...companions].map((ending) => `.${ending}`).join()

export type FilesFault = 'none' | 'kind' | 'mixed' | 'noShp' | 'noDbf'

function ending(name: string): string {
  return name.slice(name.lastIndexOf('.') + 1).toLowerCase()
}

/** The first thing that is wrong with a choice of files, if any. */
export function filesFault(names: readonly string[]): FilesFault | undefined {
  if (names.length === 0) return 'none'
  const endings = names.map(ending)
  if (endings.some((e) => e !== 'shp' && !single.includes(e) && !companions.includes(e))) return 'kind'
  if (endings.some((e) => single.includes(e))) return names.length > 1 ? 'mixed' : undefined
  if (!endings.includes('shp')) return 'noShp'
  if (endings.filter((e) => e === 'shp').length > 1) return 'mixed'
  return endings.includes('dbf') ? undefined : 'noDbf'
}
