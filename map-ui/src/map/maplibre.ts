/** The one place that loads MapLibre: its style sheet, its worker, and what all our maps share. */
import { AttributionControl, Map as MapLibre, NavigationControl, ScaleControl, setWorkerUrl } from 'maplibre-gl'
import type { LngLatBoundsLike, StyleSpecification } from 'maplibre-gl'
import workerUrl from 'maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url'
import 'maplibre-gl/dist/maplibre-gl.css'
import { commonHeaders, sessionLost } from '@/api/client'
import { i18n } from '@/i18n'

setWorkerUrl(workerUrl)

/** Fonts of the user's own computer: with no `glyphs` in the style, MapLibre draws with these. */
export const labelFonts = ['Noto Sans CJK SC', 'Microsoft YaHei', 'PingFang SC', 'sans-serif']

export interface MapChoices {
  container: HTMLElement
  style: StyleSpecification
  bounds?: LngLatBoundsLike
  /** Keeps the view in the address, under this name. */
  hash?: string
}

export function createMap({ container, style, bounds, hash }: MapChoices): MapLibre {
  const t = i18n.global.t
  const map = new MapLibre({
    container,
    style,
    bounds,
    hash: hash ?? false,
    fitBoundsOptions: { padding: 32 },
    localIdeographFontFamily: labelFonts.join(', '),
    attributionControl: false,
    dragRotate: false,
    pitchWithRotate: false,
    maxPitch: 0,
    maxZoom: 19,
    fadeDuration: 120,
    transformRequest: (url) => ({ url, headers: commonHeaders(), credentials: 'same-origin' }),
    locale: {
      'NavigationControl.ZoomIn': t('map.zoomIn'),
      'NavigationControl.ZoomOut': t('map.zoomOut'),
      'Map.Title': t('map.description'),
      'Popup.Close': t('map.close'),
      'AttributionControl.ToggleAttribution': t('map.attribution'),
      'Marker.Title': t('map.marker'),
      'ScaleControl.Meters': 'm',
      'ScaleControl.Kilometers': 'km',
    },
  })
  map.touchZoomRotate.disableRotation()
  map.keyboard.disableRotation()
  map.addControl(new NavigationControl({ showCompass: false }), 'bottom-right')
  map.addControl(new ScaleControl({ maxWidth: 120 }), 'bottom-left')
  map.addControl(new AttributionControl({ compact: true }), 'bottom-right')
  // Idle: nothing under way that would change the picture. Told to screen readers and tests.
  const busy = (state: boolean) => container.setAttribute('aria-busy', String(state))
  busy(true)
  map.on('dataloading', () => busy(true))
  map.on('movestart', () => busy(true))
  map.on('idle', () => busy(false))
  map.on('error', ({ error }) => {
    if ((error as { status?: number }).status === 401) sessionLost()
  })
  return map
}
