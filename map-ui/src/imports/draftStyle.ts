/** How the parts of a check report are drawn. */
import type { LayerSpecification } from 'maplibre-gl'

/** From the bottom up; the order of the legend. */
export const draftColours = {
  draft: '#2d7fa3',
  repaired: '#d9961a',
  rejected: '#7d2a2a',
  gap: '#c8362f',
  overlap: '#a03a9a',
} as const

export type DraftKind = keyof typeof draftColours
export const draftKinds = Object.keys(draftColours) as DraftKind[]

const opacity: Record<DraftKind, number> = { draft: 0.12, repaired: 0.35, rejected: 0.4, gap: 0.55, overlap: 0.55 }

export function draftLayers(): LayerSpecification[] {
  const parts = draftKinds.flatMap((kind): LayerSpecification[] => {
    const filter = ['==', ['get', 'kind'], kind] as ['==', ['get', string], string]
    const colour = draftColours[kind]
    return [
      {
        id: `${kind}-fill`,
        type: 'fill',
        source: 'draft',
        filter,
        paint: { 'fill-color': colour, 'fill-opacity': opacity[kind] },
      },
      {
        id: `${kind}-line`,
        type: 'line',
        source: 'draft',
        filter,
        paint: { 'line-color': colour, 'line-width': kind === 'draft' ? 1 : 2 },
      },
    ]
  })
  return [
    ...parts,
    { id: 'picked-line', type: 'line', source: 'picked', paint: { 'line-color': '#111d26', 'line-width': 3 } },
    {
      id: 'picked-point',
      type: 'circle',
      source: 'picked',
      filter: ['==', ['geometry-type'], 'Point'],
      paint: {
        'circle-radius': 9,
        'circle-color': 'rgba(0, 0, 0, 0)',
        'circle-stroke-color': '#111d26',
        'circle-stroke-width': 3,
      },
    },
  ]
}
