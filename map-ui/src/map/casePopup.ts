/** What the map says of a case that is clicked. */
import { Popup, type LngLatLike, type Map as MapLibre } from 'maplibre-gl'
import { formatArea } from '@/components/area'
import { router } from '@/app/router'
import { i18n } from '@/i18n'

/** The properties a feature of the `cases` tiles carries. */
interface CaseProperties {
  id?: string
  number?: string
  status?: string
  nature?: string
  category?: string
  area_m2?: number
  /** How many cases the point stands for; without a number of its own when more than one. */
  count?: number
  at?: string | number
}

/** A word of the domain, or the code itself when it has none. */
function word(kind: 'status' | 'nature' | 'category', code: string | undefined): string | undefined {
  if (!code) return undefined
  const key = `land.${kind}.${code}`
  return i18n.global.te(key) ? i18n.global.t(key) : code
}

/** `at` is RFC 3339, or seconds since 1970 where tiles carry a number. */
function moment(at: string | number | undefined): string | undefined {
  if (at === undefined) return undefined
  const date = typeof at === 'number' ? new Date(at * 1000) : new Date(at)
  if (Number.isNaN(date.getTime())) return undefined
  return date.toLocaleString(i18n.global.locale.value, {
    timeZone: 'Asia/Shanghai',
    dateStyle: 'medium',
    timeStyle: 'short',
  })
}

function content(properties: CaseProperties): HTMLElement {
  const { t, locale } = i18n.global
  const list = document.createElement('dl')
  list.className = 'case-popup'
  const rows: [string, string | undefined][] = [
    ['number', properties.number],
    ['count', properties.number ? undefined : String(properties.count ?? '')],
    ['status', word('status', properties.status)],
    ['nature', word('nature', properties.nature)],
    ['category', word('category', properties.category)],
    ['area', properties.area_m2 == null ? undefined : formatArea(Number(properties.area_m2), locale.value)],
    ['at', moment(properties.at)],
  ]
  for (const [name, value] of rows) {
    if (!value) continue
    const term = document.createElement('dt')
    term.textContent = t(`map.case.${name}`)
    const text = document.createElement('dd')
    text.textContent = value
    list.append(term, text)
  }
  if (!properties.id || !properties.number) return list
  const link = document.createElement('a')
  link.href = `/cases/${encodeURIComponent(properties.id)}`
  link.textContent = t('map.case.open')
  link.addEventListener('click', (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return
    event.preventDefault()
    void router.push({ name: 'case', params: { id: properties.id } })
  })
  const whole = document.createElement('div')
  whole.append(list, link)
  return whole
}

export function showCase(map: MapLibre, at: LngLatLike, properties: CaseProperties): Popup {
  return new Popup({ maxWidth: '320px', offset: 8 }).setLngLat(at).setDOMContent(content(properties)).addTo(map)
}
