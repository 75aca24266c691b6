/** The published layers, as the server lists them. */
import { ref, shallowRef } from 'vue'
import { api, unwrap } from '@/api/client'
import type { LayerItem } from '@/api/types'

type Bounds = [west: number, south: number, east: number, north: number]

export function useLayers() {
  const layers = shallowRef<LayerItem[]>([])
  const bounds = shallowRef<Bounds>()
  const loading = ref(true)
  const error = shallowRef<unknown>()

  async function load(): Promise<void> {
    loading.value = true
    error.value = undefined
    try {
      const { items } = await unwrap(api.GET('/api/v1/layers'))
      bounds.value ??= extent(items)
      layers.value = items
    } catch (cause) {
      error.value = cause
    } finally {
      loading.value = false
    }
  }

  return { layers, bounds, loading, error, load }
}

/** Where the data lie: the extent of the outermost layer that is published. */
function extent(layers: LayerItem[]): Bounds | undefined {
  for (const name of ['city', 'district', 'town', 'village', 'cell']) {
    const bbox = layers.find((layer) => layer.name === name)?.bbox
    if (bbox?.length === 4) return bbox as Bounds
  }
  return undefined
}
