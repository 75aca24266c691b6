/** Measures what the phone's first page fetches, compressed; fails above the limit. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { closure, firstRoute, phoneFiles, readManifest } from './precache.mjs'

const limit = 300 * 1024
const dist = join(import.meta.dirname, '..', 'dist')
const size = (file) => gzipSync(readFileSync(join(dist, file)), { level: 6 }).length

const first = [...closure(readManifest(dist), firstRoute), 'index.html', 'favicon.svg', 'manifest.webmanifest']
const sizes = first.map((file) => [file, size(file)]).sort((a, b) => b[1] - a[1])
const total = sizes.reduce((sum, [, bytes]) => sum + bytes, 0)
for (const [file, bytes] of sizes.slice(0, 12)) console.log(`${(bytes / 1024).toFixed(1).padStart(7)} kB  ${file}`)
console.log(`first load of the phone: ${(total / 1024).toFixed(1)} kB gzip in ${sizes.length} files (limit ${limit / 1024} kB)`)
const kept = [...phoneFiles(dist)]
console.log(`kept for work without signal: ${(kept.reduce((sum, file) => sum + size(file), 0) / 1024).toFixed(1)} kB gzip in ${kept.length} files`)
const map = sizes.find(([file]) => file.includes('maplibre'))
if (map) {
  console.error(`the map library is part of the first load: ${map[0]}`)
  process.exit(1)
}
if (total > limit) {
  console.error('above the limit')
  process.exit(1)
}
