/** Names of the layers an import may go to. */
import type { LayerItem } from '@/api/types'
import { i18n } from '@/i18n'

/** Those that always exist, published or not; any other name is an overlay layer. */
export const builtIn: readonly string[] = [
  'city',
  'district',
  'town',
  'village',
  'functional_area',
  'cell',
  'parcel',
  'basic_farmland',
]

/** What a layer is called in this language. */
export function layerTitle(name: string, layers: readonly LayerItem[], locale: string): string {
  const known = layers.find((layer) => layer.name === name)
  if (known) return locale === 'zh' ? known.title_zh : known.title_en
  const key = `land.level.${name}`
  return i18n.global.te(key) ? i18n.global.t(key) : name
}
