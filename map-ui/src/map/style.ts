/** The style of the map: our own boundaries on a plain ground, nothing from outside. */
import type {
  ExpressionSpecification,
  LayerSpecification,
  SourceSpecification,
  StyleSpecification,
} from 'maplibre-gl'
import type { LayerItem } from '@/api/types'
import { boundaryColours, categories, categoryColours, extraColour, ground, heatRamp, otherStatus, statusColours } from './palette'

/** Levels from large to small, with the zoom levels at which their line and label show. */
export const levels = [
  { name: 'city', line: [0, 24], label: [24, 24], width: [1.4, 3.2] },
  { name: 'district', line: [0, 24], label: [0, 10.3], width: [1.4, 3] },
  { name: 'town', line: [8.6, 24], label: [10.3, 12.2], width: [0.5, 2] },
  { name: 'village', line: [10.6, 24], label: [12.2, 14.6], width: [0.4, 1.6] },
  { name: 'cell', line: [12.8, 24], label: [14.6, 24], width: [0.4, 1.2] },
] as const

export const landLayers = ['parcel', 'basic_farmland'] as const
/** Names this module styles itself; every other layer is drawn as a plain overlay. */
const known: readonly string[] = [...levels.map((l) => l.name), ...landLayers, 'functional_area']

/** Points are told apart from here on; below, the heatmap says more. */
export const casesFrom = 11.5
/** Where the points have taken over. */
export const heatUpTo = 13
const tilesUpTo = 16

/** The address of a layer's tiles; `query` filters `cases` and `heat`. */
export function tileUrl(layer: string, query = ''): string {
  return `${globalThis.location.origin}/tiles/${encodeURIComponent(layer)}/{z}/{x}/{y}${query}`
}

function vector(layer: string, query = ''): SourceSpecification {
  return { type: 'vector', tiles: [tileUrl(layer, query)], maxzoom: tilesUpTo }
}

function categoryColour(): ExpressionSpecification {
  const pairs = categories.flatMap((c) => [c, categoryColours[c]])
  return ['match', ['get', 'category'], ...pairs, categoryColours.non_farmland] as unknown as ExpressionSpecification
}

function statusColour(): ExpressionSpecification {
  const pairs = Object.entries(statusColours).flat()
  return ['match', ['get', 'status'], ...pairs, otherStatus] as unknown as ExpressionSpecification
}

function byZoom(low: number, high: number): ExpressionSpecification {
  return ['interpolate', ['linear'], ['zoom'], 8, low, 15, high]
}

function land(name: string): LayerSpecification[] {
  const base = { source: name, 'source-layer': name }
  const strong = name === 'basic_farmland'
  return [
    {
      ...base,
      id: `${name}-fill`,
      type: 'fill',
      paint: {
        'fill-color': strong ? categoryColours.basic_farmland : categoryColour(),
        'fill-opacity': strong ? 0.62 : 0.75,
        'fill-antialias': false,
      },
    },
    {
      ...base,
      id: `${name}-line`,
      type: 'line',
      minzoom: 13,
      paint: { 'line-color': strong ? '#1c5c3b' : '#8d8a7d', 'line-width': strong ? 1 : 0.5 },
    },
  ]
}

function boundary(name: string, width: readonly [number, number], zooms: readonly [number, number]): LayerSpecification {
  return {
    id: `${name}-line`,
    type: 'line',
    source: name,
    'source-layer': name,
    minzoom: zooms[0],
    maxzoom: zooms[1],
    layout: { 'line-join': 'round' },
    paint: {
      'line-color': boundaryColours[name] ?? ground.ink,
      'line-opacity': name === 'town' ? ['interpolate', ['linear'], ['zoom'], 9, 0.45, 12, 1] : 1,
      'line-width': byZoom(width[0], width[1]),
      ...(name === 'district' ? { 'line-dasharray': [6, 1.5, 1.5, 1.5] } : {}),
      ...(name === 'cell' ? { 'line-dasharray': [3, 2] } : {}),
    },
  }
}

function functionalArea(): LayerSpecification[] {
  const base = { source: 'functional_area', 'source-layer': 'functional_area' }
  const colour = boundaryColours.functional_area
  return [
    { ...base, id: 'functional_area-fill', type: 'fill', paint: { 'fill-color': colour, 'fill-opacity': 0.08 } },
    {
      ...base,
      id: 'functional_area-line',
      type: 'line',
      paint: { 'line-color': colour, 'line-width': byZoom(1.2, 2.4), 'line-dasharray': [2, 1.5] },
    },
  ]
}

function overlay(name: string, colour: string): LayerSpecification[] {
  const base = { source: name, 'source-layer': name }
  return [
    { ...base, id: `${name}-fill`, type: 'fill', paint: { 'fill-color': colour, 'fill-opacity': 0.22 } },
    { ...base, id: `${name}-line`, type: 'line', paint: { 'line-color': colour, 'line-width': byZoom(0.8, 1.8) } },
  ]
}

/** Cells and hexagons of significantly many, or few, cases (Getis-Ord Gi*). */
export const hotspotLayers = ['hotspots_cell', 'hotspots_h3'] as const
export const hotspotColours = { hot99: '#9b1c31', hot95: '#d9573f', hot90: '#f2a65a', cold: '#5b8fb9' } as const

function hotspots(name: string): LayerSpecification {
  return {
    id: name,
    type: 'fill',
    source: name,
    'source-layer': name,
    layout: { visibility: 'none' },
    paint: {
      // The z-score's usual bounds: 90, 95 and 99 % confidence.
      'fill-color': [
        'step',
        ['to-number', ['get', 'z'], 0],
        hotspotColours.cold,
        -1.645,
        'rgba(0, 0, 0, 0)',
        1.645,
        hotspotColours.hot90,
        1.96,
        hotspotColours.hot95,
        2.576,
        hotspotColours.hot99,
      ] as unknown as ExpressionSpecification,
      'fill-opacity': 0.62,
    },
  }
}

/** A radius, larger where a point stands for several cases. */
function grown(radius: number): ExpressionSpecification {
  return ['*', radius, ['min', 3, ['sqrt', ['coalesce', ['get', 'count'], 1]]]]
}

function cases(): LayerSpecification[] {
  const ramp = heatRamp.flatMap((colour, index) => [0.12 + index * 0.22, colour])
  return [
    {
      id: 'heat',
      type: 'heatmap',
      source: 'heat',
      'source-layer': 'heat',
      maxzoom: heatUpTo,
      paint: {
        'heatmap-weight': ['interpolate', ['linear'], ['get', 'count'], 0, 0, 1, 0.22, 10, 1, 100, 3],
        'heatmap-intensity': ['interpolate', ['linear'], ['zoom'], 7, 0.35, 9, 0.7, 11, 1.2, 14, 2.4],
        'heatmap-radius': ['interpolate', ['linear'], ['zoom'], 7, 8, 9, 14, 11, 22, 14, 34],
        'heatmap-color': [
          'interpolate',
          ['linear'],
          ['heatmap-density'],
          0,
          'rgba(253, 233, 184, 0)',
          ...ramp,
        ] as unknown as ExpressionSpecification,
        'heatmap-opacity': ['interpolate', ['linear'], ['zoom'], 11.5, 0.82, 12.9, 0],
      },
    },
    {
      id: 'cases',
      type: 'circle',
      source: 'cases',
      'source-layer': 'cases',
      minzoom: casesFrom,
      paint: {
        'circle-color': statusColour(),
        // A tile with very many cases holds counts in place of single ones.
        'circle-radius': ['interpolate', ['linear'], ['zoom'], casesFrom, grown(2.5), 14, grown(5.5), 17, grown(8)],
        'circle-stroke-color': '#ffffff',
        'circle-stroke-width': ['interpolate', ['linear'], ['zoom'], casesFrom, 0.6, 15, 1.6],
        'circle-opacity': ['interpolate', ['linear'], ['zoom'], casesFrom, 0, 12.2, 0.95],
        'circle-stroke-opacity': ['interpolate', ['linear'], ['zoom'], casesFrom, 0, 12.2, 1],
      },
    },
  ]
}

function labels(fonts: string[]): LayerSpecification {
  return {
    id: 'labels',
    type: 'symbol',
    source: 'labels',
    layout: {
      'text-field': ['get', 'name'],
      'text-font': fonts,
      'text-size': ['match', ['get', 'level'], 'district', 16, 'functional_area', 13, 'town', 14, 12],
      'text-letter-spacing': ['match', ['get', 'level'], 'district', 0.12, 'functional_area', 0.08, 0.02],
      'text-max-width': 9,
      'text-padding': 4,
    },
    paint: {
      'text-color': ['match', ['get', 'level'], 'functional_area', '#8f4220', ground.ink],
      'text-halo-color': 'rgba(255, 255, 255, 0.9)',
      'text-halo-width': 1.6,
    },
  }
}

/** The ids of the style's layers that belong to one of our layers. */
export function styleLayersOf(name: string): string[] {
  if (name === 'heat' || name === 'cases' || name.startsWith('hotspots_')) return [name]
  return [`${name}-fill`, `${name}-line`]
}

/** A ground of city, districts and towns, for maps that show something else on it. */
export function groundStyle(layers: LayerItem[], fonts: string[]): StyleSpecification {
  const there = new Set(layers.map((l) => l.name))
  const shown = levels.filter((level) => there.has(level.name) && level.name !== 'cell')
  return {
    version: 8,
    sources: {
      ...Object.fromEntries(shown.map(({ name }) => [name, vector(name)])),
      labels: { type: 'geojson', data: { type: 'FeatureCollection', features: [] } },
    },
    layers: [
      { id: 'sea', type: 'background', paint: { 'background-color': ground.sea } },
      ...(there.has('city') ? [cityFill()] : []),
      ...[...shown].reverse().map(({ name, width, line }) => boundary(name, width, line)),
      labels(fonts),
    ],
  }
}

/** The land layers alone, with their sources: to be put on a ground. */
export function landStyle(layers: LayerItem[]): {
  sources: Record<string, SourceSpecification>
  drawn: LayerSpecification[]
} {
  const there = landLayers.filter((name) => layers.some((layer) => layer.name === name))
  return {
    sources: Object.fromEntries(there.map((name) => [name, vector(name)])),
    drawn: there.flatMap(land),
  }
}

function cityFill(): LayerSpecification {
  return {
    id: 'city-fill',
    type: 'fill',
    source: 'city',
    'source-layer': 'city',
    paint: { 'fill-color': ground.land },
  }
}

/** The whole map. Layers the server does not publish are left out. */
export function mapStyle(layers: LayerItem[], caseQuery: string, fonts: string[]): StyleSpecification {
  const there = new Set(layers.map((l) => l.name))
  const extras = layers.filter((l) => !known.includes(l.name))
  const lines = levels.filter(({ name }) => there.has(name))
  return {
    version: 8,
    sources: {
      ...Object.fromEntries(layers.map(({ name }) => [name, vector(name)])),
      heat: vector('heat', caseQuery),
      cases: vector('cases', caseQuery),
      ...Object.fromEntries(hotspotLayers.map((name) => [name, vector(name, caseQuery)])),
      labels: { type: 'geojson', data: { type: 'FeatureCollection', features: [] } },
    },
    layers: [
      { id: 'sea', type: 'background', paint: { 'background-color': ground.sea } },
      ...(there.has('city') ? [cityFill()] : []),
      ...landLayers.filter((name) => there.has(name)).flatMap(land),
      ...extras.flatMap(({ name }, index) => overlay(name, extraColour(index))),
      ...[...lines].reverse().map(({ name, width, line }) => boundary(name, width, line)),
      ...(there.has('functional_area') ? functionalArea() : []),
      ...hotspotLayers.map(hotspots),
      ...cases(),
      labels(fonts),
    ],
  }
}
