/** The styles that planners gave to layers; kept for the page, read again when one changes. */
import { shallowRef } from 'vue'
import type { LayerSpecification, StyleSpecification } from 'maplibre-gl'
import { readStyles, type LayerStyle } from '@/api/pending'

const styles = shallowRef<Record<string, LayerStyle>>({})
let asked: Promise<void> | undefined

export function loadStyles(): Promise<void> {
  asked = readStyles().then(
    (found) => void (styles.value = found),
    // Without them the map is drawn as usual.
    () => undefined,
  )
  return asked
}

export function useStyles() {
  if (!asked) void loadStyles()
  return styles
}

const colour = /^#[0-9a-f]{6}$/i

/** Draws a layer as its planner wants it. */
export function withStyles(style: StyleSpecification, own: Record<string, LayerStyle>): StyleSpecification {
  const layers = style.layers.map((layer): LayerSpecification => {
    const wanted = 'source' in layer && typeof layer.source === 'string' ? own[layer.source] : undefined
    if (!wanted) return layer
    const zoom = wanted.min_zoom ? { minzoom: wanted.min_zoom } : {}
    if (layer.type === 'fill' && wanted.fill && colour.test(wanted.fill)) {
      return { ...layer, ...zoom, paint: { ...layer.paint, 'fill-color': wanted.fill, 'fill-opacity': wanted.fill_opacity ?? 0.2 } }
    }
    if (layer.type === 'line' && wanted.line && colour.test(wanted.line)) {
      const paint = { ...layer.paint }
      delete paint['line-dasharray']
      return {
        ...layer,
        ...zoom,
        paint: {
          ...paint,
          'line-color': wanted.line,
          'line-width': wanted.line_width ?? 1.2,
          ...(wanted.dash?.length ? { 'line-dasharray': wanted.dash } : {}),
        },
      }
    }
    return { ...layer, ...zoom } as LayerSpecification
  })
  return { ...style, layers }
}
