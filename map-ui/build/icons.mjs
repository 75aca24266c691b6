// Draws the icons of the installed app from public/favicon.svg, in the browser of the tests.
import { chromium } from '@playwright/test'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..', 'public')
const svg = readFileSync(join(root, 'favicon.svg'), 'utf8')
/** The sign alone, white, for the status bar of a phone. */
const sign = svg.replace(/<rect[^>]*\/>/, '').replace('#e9b44c', '#fff')
const icons = [
  ['icon-192.png', 192, svg, 1],
  ['icon-512.png', 512, svg, 1],
  // Cut to any shape by the phone: ground to the edge, the sign within the safe middle.
  ['maskable-512.png', 512, svg.replace('rx="7"', 'rx="0"'), 0.72],
  ['apple-180.png', 180, svg.replace('rx="7"', 'rx="0"'), 1],
  ['badge-96.png', 96, sign, 1],
]
mkdirSync(join(root, 'icons'), { recursive: true })
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu'],
})
for (const [name, edge, drawing, share] of icons) {
  const page = await browser.newPage({ viewport: { width: edge, height: edge } })
  const ground = share < 1 ? '#1f5673' : 'transparent'
  const size = Math.round(edge * share)
  const image = `data:image/svg+xml;base64,${Buffer.from(drawing).toString('base64')}`
  await page.setContent(
    `<body style="margin:0;display:grid;place-items:center;height:100vh;background:${ground}"><img width="${size}" height="${size}" src="${image}"></body>`,
  )
  await page.waitForFunction(() => document.images[0]?.complete)
  writeFileSync(join(root, 'icons', name), await page.screenshot({ omitBackground: true }))
  await page.close()
}
await browser.close()
