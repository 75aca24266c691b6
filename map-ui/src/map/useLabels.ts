/** Keeps the `labels` source in step with what is in view. */
import type { GeoJSONSource, Map as MapLibre } from 'maplibre-gl'
import { labelPoints, type LabelPoints, type Piece } from './labels'
import { levels } from './style'

function pieces(map: MapLibre, layer: string): Piece[] {
  return map.querySourceFeatures(layer, { sourceLayer: layer }).map((feature) => ({
    code: String(feature.properties.code ?? ''),
    name: String(feature.properties.name ?? ''),
    geometry: feature.geometry as Piece['geometry'],
  }))
}

/** Labels the level that suits the zoom, as far as `visible` allows. */
export function keepLabels(map: MapLibre, visible: (layer: string) => boolean): () => void {
  let shown = ''
  const update = () => {
    const source = map.getSource<GeoJSONSource>('labels')
    if (!source) return
    const zoom = map.getZoom()
    const bounds = map.getBounds()
    const view = [bounds.getWest(), bounds.getSouth(), bounds.getEast(), bounds.getNorth()] as const
    const level = levels.find(({ label }) => zoom >= label[0] && zoom < label[1])?.name
    const wanted = [...(level ? [level] : []), ...(zoom < 12.2 ? ['functional_area'] : [])]
    const features: LabelPoints['features'] = wanted
      .filter((layer) => map.getSource(layer) && visible(layer))
      .flatMap((layer) => labelPoints(layer, pieces(map, layer), [...view]))
    const data: LabelPoints = { type: 'FeatureCollection', features }
    // Setting the same labels again would keep the map from ever being idle.
    const text = JSON.stringify(data)
    if (text === shown) return
    shown = text
    source.setData(data)
  }
  map.on('idle', update)
  return update
}
