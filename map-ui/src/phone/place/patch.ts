/** Downloads the patch, and finds places in it without signal. */
import type { Feature, FeatureCollection, MultiPolygon, Polygon } from 'geojson'
import { call, send } from '@/api/call'
import type { LookupAnswer, Me, Responsible } from '@/api/types'
import { db, fact, setFact } from '../queue/db'
import { contains, pointInside } from './halfOpen'
import type { KeptArea, Level, PatchFact } from './model'

export const patchKey = 'patch'
/** A patch is a village or a town. Whoever answers for more sits at a desk, and has signal. */
const mostVillages = 80

interface AreaProperties {
  code: string
  name: string
  level: Level
  parent_code?: string | null
  bbox?: [number, number, number, number] | null
}

type AreaFeature = Feature<Polygon | MultiPolygon, AreaProperties>

async function listOf(parent: string, level: Level): Promise<AreaFeature[]> {
  const response = await send('GET', '/api/v1/areas', {
    query: { parent, level },
    headers: { Accept: 'application/geo+json' },
  })
  return ((await response.json()) as FeatureCollection<Polygon | MultiPolygon, AreaProperties>).features
}

async function one(code: string): Promise<AreaFeature> {
  const response = await send('GET', `/api/v1/areas/${encodeURIComponent(code)}`, {
    headers: { Accept: 'application/geo+json' },
  })
  return (await response.json()) as AreaFeature
}

/** What is kept of an area; one without geometry or box is left out. */
export function keptArea(feature: AreaFeature): KeptArea | undefined {
  const { code, name, level, parent_code, bbox } = feature.properties
  if (!feature.geometry || bbox?.length !== 4) return undefined
  return { code, name, level, parent_code, bbox, geometry: feature.geometry }
}

/** Who answers for each cell, asked for a position inside it; a few at a time. */
async function addResponsible(cells: KeptArea[]): Promise<void> {
  const left = [...cells]
  const worker = async () => {
    for (let cell = left.pop(); cell; cell = left.pop()) {
      const at = pointInside(cell.geometry)
      if (!at) continue
      const [lon = 0, lat = 0] = at
      const answer = await call<LookupAnswer>('GET', '/api/v1/lookup', { query: { lon, lat, crs: 'cgcs2000' } })
      if (answer.cell?.code === cell.code) cell.responsible = answer.responsible
    }
  }
  await Promise.all(Array.from({ length: 6 }, worker))
}

/**
 * Fetches the person's patch: the town around it, its villages and their cells, so that a step
 * over the border is known too. Replaces what was kept, all or nothing.
 */
export async function downloadPatch(me: Pick<Me, 'id' | 'area_code'>): Promise<PatchFact | undefined> {
  const own = await one(me.area_code)
  const level = own.properties.level
  const townCode = level === 'village' ? own.properties.parent_code : level === 'town' ? own.properties.code : undefined
  if (!townCode) return undefined
  const town = level === 'town' ? own : await one(townCode)
  const districtCode = town.properties.parent_code
  const district = districtCode ? await call<AreaProperties>('GET', `/api/v1/areas/${districtCode}`) : undefined
  const villages = (await listOf(townCode, 'village')).slice(0, mostVillages)
  const cells: AreaFeature[] = []
  // A few at a time: a phone's line is narrow.
  for (let i = 0; i < villages.length; i += 4) {
    const some = villages.slice(i, i + 4).map((village) => listOf(village.properties.code, 'cell'))
    cells.push(...(await Promise.all(some)).flat())
  }
  const areas = [town, ...villages, ...cells].map(keptArea).filter((area): area is KeptArea => area !== undefined)
  await addResponsible(areas.filter((area) => area.level === 'cell'))
  const kept: PatchFact = {
    area_code: me.area_code,
    name: own.properties.name,
    person: me.id,
    cells: cells.length,
    villages: villages.length,
    at: Date.now(),
  }
  const transaction = (await db()).transaction(['areas', 'facts'], 'readwrite')
  const store = transaction.objectStore('areas')
  await store.clear()
  for (const area of areas) await store.put(area)
  await transaction.objectStore('facts').put(kept, patchKey)
  if (district) await transaction.objectStore('facts').put({ code: district.code, name: district.name }, 'district')
  await transaction.done
  return kept
}

export const keptPatch = () => fact<PatchFact>(patchKey)

export async function patchAreas(): Promise<KeptArea[]> {
  return (await db()).getAll('areas')
}

export async function forgetPatch(): Promise<void> {
  await (await db()).clear('areas')
  await setFact(patchKey, undefined)
}

/** A place as found on the phone. */
export interface LocalPlace {
  cell?: KeptArea
  village?: KeptArea
  town?: KeptArea
  responsible?: Responsible | null
}

/** Of the areas of a level that hold the position the lowest code owns, as on the server. */
function owner(areas: readonly KeptArea[], level: Level, lon: number, lat: number): KeptArea | undefined {
  let found: KeptArea | undefined
  for (const area of areas) {
    if (area.level !== level || (found && found.code < area.code)) continue
    const [west, south, east, north] = area.bbox
    if (lon < west || lon > east || lat < south || lat > north) continue
    if (contains(area.geometry, lon, lat)) found = area
  }
  return found
}

/** Levels are looked up by geometry, each on its own, as the server does. */
export function placeIn(areas: readonly KeptArea[], lon: number, lat: number): LocalPlace {
  const cell = owner(areas, 'cell', lon, lat)
  return {
    cell,
    village: owner(areas, 'village', lon, lat),
    town: owner(areas, 'town', lon, lat),
    responsible: cell?.responsible,
  }
}
