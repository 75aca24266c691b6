/**
 * Which built files the phone needs to start without signal: the page, its entry, the routes of
 * the phone and of log-in, both languages; not the map library and not the desks.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Vite's list of what was built from which module. */
export function readManifest(dist) {
  return JSON.parse(readFileSync(join(dist, '.vite', 'manifest.json'), 'utf8'))
}

/** Files of some modules with all that they import at once. */
export function closure(manifest, entries) {
  const files = new Set()
  const seen = new Set()
  const visit = (key) => {
    const chunk = manifest[key]
    if (!chunk || seen.has(key)) return
    seen.add(key)
    for (const file of [chunk.file, ...(chunk.css ?? []), ...(chunk.assets ?? [])]) files.add(file)
    for (const other of chunk.imports ?? []) visit(other)
  }
  entries.forEach(visit)
  return files
}

/** What the very first page of the phone fetches. */
export const firstRoute = ['index.html', 'src/phone/PhoneShell.vue', 'src/phone/pages/HomePage.vue']

/** The map comes when it is first opened. */
const withoutMap = (key) => !/CasesMap|FootprintSheet/.test(key)

function phoneModules(manifest) {
  const own = Object.keys(manifest).filter(
    (key) =>
      /^src\/(phone|messages|profile|session)\//.test(key) || key === 'src/i18n/en/index.ts' || key === 'index.html' ||
      // Element Plus's own words and our offline update helper.
      /virtual_pwa-register|workbox-window|element-plus.*lang\/en/.test(key),
  )
  return own.filter(withoutMap)
}

/** Names below `dist`, for the service worker's list. */
export function phoneFiles(dist) {
  const manifest = readManifest(dist)
  const files = closure(manifest, phoneModules(manifest))
  for (const file of ['index.html', 'favicon.svg', 'manifest.webmanifest', 'icons/icon-192.png']) files.add(file)
  return files
}
