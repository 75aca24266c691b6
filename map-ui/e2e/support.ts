/** What every story needs: a log-in, a watch over the console, and eyes for the map. */
import { expect, test as base, type Locator, type Page } from '@playwright/test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

export interface LogIn {
  role: string
  phone: string
  password: string
  area_code: string
  name: string
}

/** The demo log-in of a role, from the file that `XUNCHA_LOGINS` names. */
export function logInOf(role: string): LogIn {
  const path = process.env.XUNCHA_LOGINS
  if (!path) throw new Error('XUNCHA_LOGINS is not set: path of a JSON file with the demo log-ins')
  const found = (JSON.parse(readFileSync(path, 'utf8')) as LogIn[]).find((entry) => entry.role === role)
  if (!found) throw new Error(`no log-in of role ${role} in ${path}`)
  return found
}

const root = join(import.meta.dirname, '..', '..')
export const boundaries = process.env.XUNCHA_BOUNDARIES ?? join(root, 'boundaries')
/** Not into `docs` unless asked: a test leaves the working tree as it was. */
const images = process.env.XUNCHA_IMAGES ?? join(root, 'map-ui', 'node_modules', '.pictures')

/** A picture for the documentation. */
export async function picture(page: Page, name: string): Promise<void> {
  await page.screenshot({ path: join(images, `${name}.png`), animations: 'disabled' })
}

/** A refusal that a story provokes is written to the console by the browser itself. */
const provoked = /the server responded with a status of 401/

/** A page whose console stays clean and that asks nobody but our server. */
export const test = base.extend<{ refusalsExpected: boolean }>({
  refusalsExpected: [false, { option: true }],
  page: async ({ page, baseURL, refusalsExpected }, use) => {
    const complaints: string[] = []
    // The tour lies over the page at the first visit of a role; it has a story of its own.
    await page.addInitScript(() => {
      const roles = ['patroller', 'squad_leader', 'reviewer', 'village_leader', 'town_leader', 'district_leader', 'city_leader', 'dispatcher', 'planner', 'admin']
      if (!sessionStorage.getItem('tour')) localStorage.setItem('xuncha.toured', JSON.stringify(roles))
    })
    page.on('console', (message) => {
      if (message.type() !== 'error' || (refusalsExpected && provoked.test(message.text()))) return
      complaints.push(`console: ${message.text()} (${message.location().url})`)
    })
    page.on('pageerror', (error) => complaints.push(`error: ${error.stack ?? error.message}`))
    page.on('request', (request) => {
      const url = request.url()
      if (!url.startsWith(baseURL ?? '') && !/^(data|blob):/.test(url)) complaints.push(`outside: ${url}`)
    })
    await use(page)
    expect(complaints, 'console errors and requests to the outside').toEqual([])
  },
})

export { expect }

/** Logs in and opens a page; by default the map. */
export async function logIn(page: Page, role: string, to = '/map'): Promise<LogIn> {
  const login = logInOf(role)
  await page.goto(to)
  await page.locator('input[name=phone]').fill(login.phone)
  await page.locator('input[name=password]').fill(login.password)
  await page.locator('button[type=submit]').click()
  await expect(page.locator('header nav')).toBeVisible()
  return login
}

/** The map, once nothing is under way that would change its picture. */
export async function settledMap(page: Page): Promise<Locator> {
  const map = page.locator('.maplibregl-map').first()
  // Labels are placed after the first rest, which starts a second, short one.
  await expect(map).toHaveAttribute('aria-busy', 'false')
  await page.waitForTimeout(300)
  await expect(map).toHaveAttribute('aria-busy', 'false')
  return map.locator('canvas')
}

/** A screenshot of the map alone: the part that no panel lies over. */
export async function mapPicture(page: Page): Promise<Buffer> {
  const canvas = await settledMap(page)
  const box = await canvas.boundingBox()
  if (!box) throw new Error('the map has no place on the page')
  return page.screenshot({ clip: { x: box.x, y: box.y, width: box.width - 330, height: box.height - 60 } })
}

/** How many pixels of two screenshots differ visibly. */
export async function differingPixels(page: Page, a: Buffer, b: Buffer): Promise<number> {
  return page.evaluate(
    async ([first, second]) => {
      const pixels = async (data: string) => {
        const image = new Image()
        image.src = `data:image/png;base64,${data}`
        await image.decode()
        const canvas = new OffscreenCanvas(image.width, image.height)
        const context = canvas.getContext('2d')
        if (!context) throw new Error('no 2d context')
        context.drawImage(image, 0, 0)
        return context.getImageData(0, 0, image.width, image.height).data
      }
      const [x, y] = await Promise.all([pixels(first), pixels(second)])
      let count = 0
      for (let i = 0; i < x.length; i += 4) {
        const change = [0, 1, 2].reduce((sum, k) => sum + Math.abs((x[i + k] ?? 0) - (y[i + k] ?? 0)), 0)
        if (change > 24) count++
      }
      return count
    },
    [a.toString('base64'), b.toString('base64')] as const,
  )
}
