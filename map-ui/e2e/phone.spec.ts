/** The patroller's phone, 390 × 844: its day, also without signal. */
import AxeBuilder from '@axe-core/playwright'
import { chromium, request, type APIRequestContext, type BrowserContext, type Page } from '@playwright/test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pointInside } from '../src/phone/place/halfOpen'
import { Line } from './line'
import config from './playwright.config'
import { expect, logInOf, picture, test, type LogIn } from './support'

const base = process.env.XUNCHA_URL ?? 'http://127.0.0.1:8080'
const phone = { viewport: { width: 390, height: 844 }, hasTouch: true, locale: 'zh-CN', timezoneId: 'Asia/Shanghai' }
test.use({ ...phone, permissions: ['geolocation'] })

/** Somebody of the platform beside the phone: asks the API, without a browser. */
async function api(role: string): Promise<APIRequestContext> {
  const { phone: number, password } = logInOf(role)
  const context = await request.newContext({ baseURL: base })
  const answer = await context.post('/api/v1/session', { data: { phone: number, password } })
  expect(answer.ok(), await answer.text()).toBe(true)
  return context
}

/** A position on the patroller's patch. */
async function onPatch(login: LogIn): Promise<{ longitude: number; latitude: number }> {
  const own = await api('patroller')
  const area = await own.get(`/api/v1/areas/${login.area_code}`, { headers: { accept: 'application/geo+json' } })
  const [longitude = 0, latitude = 0] = pointInside((await area.json()).geometry) ?? []
  await own.dispose()
  return { longitude, latitude }
}

/** A photo with something to see, made in the browser: no binary in the repository. */
async function photo(page: Page, words: string): Promise<Buffer> {
  const data = await page.evaluate((text) => {
    const canvas = document.createElement('canvas')
    canvas.width = 1280
    canvas.height = 960
    const context = canvas.getContext('2d')
    if (!context) throw new Error('no canvas')
    const sky = context.createLinearGradient(0, 0, 0, 960)
    sky.addColorStop(0, '#a9c7dd')
    sky.addColorStop(0.55, '#e8e2cf')
    sky.addColorStop(1, '#8f9f62')
    context.fillStyle = sky
    context.fillRect(0, 0, 1280, 960)
    context.fillStyle = '#b9886a'
    context.fillRect(360, 380, 520, 330)
    context.fillStyle = '#6d4536'
    context.fillRect(330, 340, 580, 50)
    context.fillStyle = '#33414b'
    for (let i = 0; i < 3; i++) context.fillRect(420 + i * 150, 460, 90, 110)
    context.font = '44px sans-serif'
    context.fillText(text, 60, 900)
    return canvas.toDataURL('image/jpeg', 0.9)
  }, words)
  return Buffer.from(data.split(',')[1] ?? '', 'base64')
}
const asFile = (name: string, buffer: Buffer) => ({ name, mimeType: 'image/jpeg', buffer })

async function accessible(page: Page, what: string): Promise<void> {
  // The map is drawn on a canvas; its frame carries the words.
  const found = await new AxeBuilder({ page }).withTags(['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa']).exclude('.maplibregl-map').analyze()
  expect(found.violations.map(({ id, nodes }) => `${what}: ${id} ${nodes.map((node) => node.html).join(' | ')}`)).toEqual([])
}

async function patchKept(page: Page): Promise<void> {
  await expect(page.locator('[data-test=patch]')).toContainText('个网格')
}

async function language(page: Page, name: 'English' | '中文'): Promise<void> {
  await page.locator('[data-tab=phone-me]').click()
  await page.getByRole('button', { name }).click()
}

/** Logged in, with its own store on disk: closing it is switching the phone off. */
async function switchOn(folder: string, url: string, options: object = {}): Promise<{ context: BrowserContext; page: Page }> {
  const context = await chromium.launchPersistentContext(folder, {
    ...config.use?.launchOptions, ...phone, baseURL: url, permissions: ['geolocation'], ...options,
  })
  return { context, page: context.pages()[0] ?? (await context.newPage()) }
}

async function enter(page: Page, login: LogIn): Promise<void> {
  await page.goto('/phone')
  await page.locator('input[name=phone]').fill(login.phone)
  await page.locator('input[name=password]').fill(login.password)
  await page.locator('button[type=submit]').click()
  await expect(page.locator('[data-tab=phone-new]')).toBeVisible()
}

async function workerReady(page: Page): Promise<void> {
  await page.evaluate(async () => {
    const registration = await navigator.serviceWorker.ready
    if (navigator.serviceWorker.controller) return
    await new Promise((resolve) => {
      navigator.serviceWorker.addEventListener('controllerchange', resolve)
      if (registration.active && navigator.serviceWorker.controller) resolve(undefined)
    })
  })
}

async function reportHere(page: Page, buffer: Buffer): Promise<string> {
  await page.locator('[data-tab=phone]').click()
  await page.locator('[data-test=shoot]').setInputFiles(asFile('a.jpg', buffer))
  await expect(page.locator('[data-test=photo]')).toHaveCount(1)
  await expect(page.locator('[data-test=position]')).toBeVisible()
  await page.locator('[data-nature=illegal_construction]').check()
  await page.locator('[data-test=submit]').click()
  await page.waitForURL(/\/phone\/sent\//)
  return new URL(page.url()).pathname.split('/').at(-1) ?? ''
}

test('a new case in a few taps, seen through to its case page', async ({ page, context }) => {
  test.setTimeout(240_000)
  const login = logInOf('patroller')
  await context.setGeolocation({ ...(await onPatch(login)), accuracy: 8 })
  await enter(page, logInOf('patroller'))
  await expect(page).toHaveURL(/\/phone$/)
  await patchKept(page)
  await picture(page, 'phone-home-zh')
  await accessible(page, 'home')

  const begun = Date.now()
  await page.locator('[data-test=shoot]').setInputFiles(asFile('a.jpg', await photo(page, '违法建设 2026')))
  await expect(page.locator('[data-test=gps]')).toHaveText('定位良好')
  await expect(page.locator('[data-test=place]')).toContainText('·')
  await expect(page.locator('[data-test=position]')).toContainText('WGS 84')
  await page.locator('[data-nature=illegal_construction]').check()
  await picture(page, 'phone-new-zh')
  await accessible(page, 'new case')
  await page.locator('[data-test=submit]').click()
  await expect(page.locator('[data-test=number]')).toContainText(/^\d{6}-\d{4}-\d{6}$/)
  expect(Date.now() - begun, 'milliseconds from the photo to the number').toBeLessThan(30_000)
  await expect(page.locator('[data-test=photos-left]')).toContainText('已全部送达')
  await picture(page, 'phone-sent-zh')
  await accessible(page, 'sent')

  await page.getByRole('link', { name: '打开案件' }).click()
  await expect(page.locator('[data-test=status]')).toHaveText('已派发')
  await expect(page.locator('[data-event=dispatch]')).toBeVisible()
  await expect(page.locator('.ph-photos img')).toHaveCount(1)
  await picture(page, 'phone-case-zh')
  await accessible(page, 'case')

  await page.locator('[data-step=patrol_record]').click()
  await page.locator('#text').fill('到场查看，正在砌墙。')
  await page.locator('[data-test=files]').setInputFiles(asFile('b.jpg', await photo(page, '巡查记录')))
  await expect(page.locator('[data-test=photo]')).toHaveCount(1)
  await expect(page.locator('[data-test=position]')).toBeVisible()
  await picture(page, 'phone-step-zh')
  await accessible(page, 'step')
  await page.locator('[data-test=submit-step]').click()
  await expect(page.locator('[data-event=patrol_record]')).toContainText('正在砌墙')
  await expect(page.locator('[data-test=status]')).toHaveText('现场处置')

  // 核拍: the old photo lies over the camera's picture.
  await page.locator('[data-step=recheck]').click()
  await page.locator('[data-test=old-photo]').first().click()
  await expect(page.locator('[data-test=ghost]')).toBeVisible()
  await expect.poll(() => page.locator('[data-test=live]').evaluate((video) => (video as HTMLVideoElement).videoWidth)).toBeGreaterThan(0)
  await picture(page, 'phone-recheck-zh')
  await page.locator('[data-test=ghost-take]').click()
  await expect(page.locator('[data-test=photo]')).toHaveCount(1)
  await page.locator('[data-test=submit-step]').click()
  await expect(page.locator('[data-event=recheck]')).toBeVisible()

  // Tracking while open, and it says so on every page.
  await page.locator('[data-tab=phone]').click()
  await page.locator('[data-test=track]').click()
  await expect(page.locator('[data-test=tracking]')).toBeVisible()
  await expect(page.getByText('已记录 1 个点')).toBeVisible()
  await page.locator('[data-tab=phone-me]').click()
  await expect(page.locator('[data-test=tracking]')).toBeVisible()
  await page.locator('[data-tab=phone]').click()
  const tracked = page.waitForResponse((response) => response.url().endsWith('/api/v1/patrol/tracks'))
  await page.locator('[data-test=track]').click()
  expect((await tracked).ok(), 'the track arrived').toBe(true)

  await page.locator('[data-tab=phone-cases]').click()
  await expect(page.locator('[data-case]').first()).toBeVisible()
  await accessible(page, 'cases')
  await page.locator('[data-test=as-map]').click()
  await expect(page.locator('.maplibregl-map')).toHaveAttribute('aria-busy', 'false')
  await picture(page, 'phone-map-zh')
  await page.locator('[data-test=queue-link]').click()
  await expect(page.locator('[data-test=queue-count]')).toHaveText('全部已发送')
  await accessible(page, 'queue')

  await page.locator('[data-tab=phone-messages]').click()
  await expect(page.locator('[data-test=messages] li').first()).toBeVisible()
  await picture(page, 'phone-messages-zh')
  await accessible(page, 'messages')
  await page.locator('[data-tab=phone-me]').click()
  await expect(page.locator('[data-test=devices] li').first()).toBeVisible()
  await picture(page, 'phone-me-zh')
  await accessible(page, 'me')

  await page.getByRole('button', { name: 'English' }).click()
  await page.locator('[data-tab=phone]').click()
  await expect(page.getByText('Photograph a new case')).toBeVisible()
  await picture(page, 'phone-home-en')
  await page.locator('[data-tab=phone-new]').click()
  await expect(page.locator('[data-test=position]')).toBeVisible()
  await picture(page, 'phone-new-en')
  await language(page, '中文')
})

test('a position that is no position: the pin decides', async ({ page, context }) => {
  const login = logInOf('patroller')
  const here = await onPatch(login)
  await context.setGeolocation({ ...here, accuracy: 500 })
  await enter(page, logInOf('patroller'))
  await patchKept(page)
  await page.locator('[data-tab=phone-new]').click()
  await expect(page.locator('[data-test=coarse]')).toContainText('500')
  await page.locator('[data-test=pin]').click()
  await expect(page.locator('.maplibregl-map')).toHaveAttribute('aria-busy', 'false')
  await picture(page, 'phone-pin-zh')
  await page.locator('[data-test=pin-here]').click()
  await expect(page.getByText('地图选点', { exact: true })).toBeVisible()
  await expect(page.locator('[data-test=position]')).toContainText('CGCS2000')

  await page.getByText('更多（面积').click()
  await page.locator('[data-test=draw]').click()
  const map = page.locator('.maplibregl-map')
  await expect(map).toHaveAttribute('aria-busy', 'false')
  const box = await map.boundingBox()
  if (!box) throw new Error('the map has no place on the page')
  for (const [x, y] of [[0.35, 0.35], [0.65, 0.35], [0.65, 0.6], [0.35, 0.6]] as const) {
    await page.mouse.click(box.x + box.width * x, box.y + box.height * y)
    await page.waitForTimeout(400) // two quick taps are a zoom
  }
  await expect(page.locator('[data-test=footprint-area]')).toContainText('4 个角')
  await picture(page, 'phone-footprint-zh')
  await page.locator('[data-test=footprint-done]').click()
  expect(Number(await page.locator('#area').inputValue())).toBeGreaterThan(50)
})

test('positioning refused: said plainly', async ({ browser }) => {
  const context = await browser.newContext({ ...phone, baseURL: base })
  const page = await context.newPage()
  await enter(page, logInOf('patroller'))
  await page.locator('[data-tab=phone-new]').click()
  await expect(page.locator('[data-test=gps-off]')).toBeVisible()
  await context.close()
})

test('a day without signal: closed, reopened, delivered exactly once', async () => {
  test.setTimeout(300_000)
  const login = logInOf('patroller')
  const here = await onPatch(login)
  const line = await new Line(new URL(base)).listen()
  const folder = mkdtempSync(join(tmpdir(), 'xuncha-phone-'))
  const leader = await api('city_leader')
  let on: BrowserContext | undefined
  try {
    const first = await switchOn(folder, line.url)
    on = first.context
    await first.context.setGeolocation({ ...here, accuracy: 8 })
    await enter(first.page, login)
    await patchKept(first.page)
    await workerReady(first.page)
    const picture1 = await photo(first.page, '无信号时上报')
    // One case with signal: something to work on later.
    const known = await reportHere(first.page, picture1)
    await expect(first.page.locator('[data-test=delivered]')).toBeVisible()
    await first.page.getByRole('link', { name: '打开案件' }).click()
    await expect(first.page.locator('[data-event=dispatch]')).toBeVisible()

    line.cut()
    const fresh = await reportHere(first.page, picture1)
    await expect(first.page.locator('[data-test=kept]')).toBeVisible()
    await expect(first.page.locator('[data-test=offline]')).toBeVisible()
    await picture(first.page, 'phone-offline-zh')
    // Two steps on a case that was seen before.
    for (const [step, words] of [['patrol_record', '无信号时到场'], ['stop_order', '责令停止施工']] as const) {
      await first.page.goto(`/phone/cases/${known}/steps/${step}`)
      await first.page.locator('#text').fill(words)
      await expect(first.page.locator('[data-test=position]')).toBeVisible()
      await first.page.locator('[data-test=submit-step]').click()
      await first.page.waitForURL(/\/phone\/cases\/[^/]+$/)
    }
    // A form left half-way when the battery dies.
    await first.page.goto('/phone/new')
    await first.page.locator('[data-nature=both]').check()
    await first.page.getByText('更多（面积').click()
    await first.page.locator('#description').fill('写到一半')
    await expect
      .poll(() => first.page.evaluate(async () => {
        const open = indexedDB.open('xuncha-phone')
        const store = await new Promise<IDBDatabase>((resolve) => (open.onsuccess = () => resolve(open.result)))
        const got = store.transaction('drafts').objectStore('drafts').get('new')
        const draft = await new Promise<{ content?: { description?: string } } | undefined>((resolve) => (got.onsuccess = () => resolve(got.result)))
        store.close()
        return draft?.content?.description
      }))
      .toBe('写到一半')
    await first.context.close()

    expect((await leader.get(`/api/v1/cases/${fresh}`)).status(), 'nothing has reached the server').toBe(404)

    const second = await switchOn(folder, line.url)
    on = second.context
    await second.context.setGeolocation({ ...here, accuracy: 8 })
    await second.page.goto('/phone/queue')
    await expect(second.page.locator('[data-state=waiting]')).toHaveCount(4)
    await picture(second.page, 'phone-queue-zh')
    await accessible(second.page, 'queue without signal')
    await second.page.goto('/phone/new')
    await expect(second.page.locator('[data-test=resumed]')).toBeVisible()
    await expect(second.page.locator('#description')).toHaveValue('写到一半')
    await expect(second.page.locator('[data-test=place]'), 'the place is known without signal').toContainText('·')
    // A second tab beside: still one sender.
    const beside = await second.context.newPage()
    await beside.goto('/phone/queue')
    await expect(beside.locator('[data-state=waiting]')).toHaveCount(4)

    // The line comes back and breaks again in the middle of the photo.
    line.mend()
    line.cutAfter(20_000)
    await beside.locator('[data-test=send-now]').click()
    await expect.poll(async () => (await leader.get(`/api/v1/cases/${fresh}`)).status()).toBeGreaterThan(0)
    line.mend()
    await second.page.goto('/phone/queue')
    await second.page.locator('[data-test=send-now]').click()
    await expect(second.page.locator('[data-test=queue-count]')).toHaveText('全部已发送', { timeout: 60_000 })
    await expect(beside.locator('[data-test=queue-count]')).toHaveText('全部已发送')

    const delivered = await (await leader.get(`/api/v1/cases/${fresh}`)).json()
    expect(delivered.attachments).toHaveLength(1)
    expect(delivered.attachments[0].bytes, 'the original, untouched').toBe(picture1.length)
    const { items } = await (await leader.get(`/api/v1/cases/${known}/history`)).json()
    const steps = (items as { action: string; text?: string; observed_at: string; at: string }[]).filter(({ action }) =>
      ['patrol_record', 'stop_order'].includes(action),
    )
    expect(steps.map(({ action, text }) => [action, text])).toEqual([
      ['patrol_record', '无信号时到场'],
      ['stop_order', '责令停止施工'],
    ])
    for (const step of steps) expect(Date.parse(step.observed_at), 'made before it arrived').toBeLessThanOrEqual(Date.parse(step.at) + 1_000)
  } finally {
    await on?.close()
    await line.close()
    await leader.dispose()
    rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 500 })
  }
})

test('a case that went on meanwhile: told in words, applied again', async () => {
  test.setTimeout(180_000)
  const login = logInOf('patroller')
  const here = await onPatch(login)
  const line = await new Line(new URL(base)).listen()
  const folder = mkdtempSync(join(tmpdir(), 'xuncha-phone-'))
  const own = await api('patroller')
  let on: BrowserContext | undefined
  try {
    const { context, page } = await switchOn(folder, line.url)
    on = context
    await context.setGeolocation({ ...here, accuracy: 8 })
    await enter(page, login)
    await patchKept(page)
    await workerReady(page)
    const id = await reportHere(page, await photo(page, '冲突'))
    await expect(page.locator('[data-test=delivered]')).toBeVisible()
    await page.getByRole('link', { name: '打开案件' }).click()
    await expect(page.locator('[data-event=dispatch]')).toBeVisible()
    line.cut()
    await page.goto(`/phone/cases/${id}/steps/patrol_record`)
    await page.locator('#text').fill('离线记录')
    await expect(page.locator('[data-test=position]')).toBeVisible()
    await page.locator('[data-test=submit-step]').click()
    await page.waitForURL(/\/phone\/cases\/[^/]+$/)
    const other = await own.post(`/api/v1/cases/${id}/actions`, {
      data: { id: crypto.randomUUID(), action: 'stop_order', text: '同事先到了' },
    })
    expect(other.ok(), await other.text()).toBe(true)
    line.mend()
    await page.goto('/phone/queue')
    await page.locator('[data-test=send-now]').click()
    await expect(page.locator('[data-state=conflict]')).toBeVisible()
    await page.locator('[data-test=what-happened]').click()
    await expect(page.locator('[data-test=since]')).toContainText('责令停止')
    await picture(page, 'phone-conflict-zh')
    await accessible(page, 'conflict')
    await page.locator('[data-test=reapply]').click()
    await expect(page.locator('[data-test=queue-count]')).toHaveText('全部已发送')
    const { items } = await (await own.get(`/api/v1/cases/${id}/history`)).json()
    expect((items as { action: string; text?: string }[]).filter(({ text }) => text === '离线记录')).toHaveLength(1)
  } finally {
    await on?.close()
    await line.close()
    await own.dispose()
    rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 500 })
  }
})

test.describe('a lost session and a wrong clock', () => {
  test.use({ refusalsExpected: true })

  test('nothing typed is lost; times are the server’s', async ({ page, context }) => {
    test.setTimeout(120_000)
    const login = logInOf('patroller')
    await context.setGeolocation({ ...(await onPatch(login)), accuracy: 8 })
    await page.addInitScript(() => {
      const Real = Date
      const day = 86_400_000
      class Wrong extends Real {
        constructor(...parts: unknown[]) {
          if (parts.length) super(...(parts as [number]))
          else super(Real.now() - day)
        }
        static override now = () => Real.now() - day
      }
      globalThis.Date = Wrong as DateConstructor
    })
    await enter(page, logInOf('patroller'))
    await patchKept(page)
    await page.locator('[data-tab=phone-new]').click()
    await page.locator('[data-nature=illegal_land_use]').check()
    await page.getByText('更多（面积').click()
    await page.locator('#description').fill('登录失效也不丢')
    await expect(page.locator('[data-test=position]')).toBeVisible()
    await context.clearCookies()
    await page.locator('[data-test=submit]').click()
    const dialog = page.getByRole('dialog', { name: '请重新登录' })
    await dialog.locator('input[name=password]').fill(login.password)
    await dialog.locator('button[type=submit]').click()
    await expect(page.locator('[data-test=delivered]')).toBeVisible()
    await expect(page.locator('[data-test=clock]')).toContainText('慢')
    await expect(page.locator('[data-test=clock]')).toContainText('1 天')
    const id = new URL(page.url()).pathname.split('/').at(-1)
    const own = await api('patroller')
    const found = await (await own.get(`/api/v1/cases/${id}`)).json()
    expect(found.description).toBe('登录失效也不丢')
    expect(Math.abs(Date.parse(found.observed_at) - Date.now()), 'corrected by the server’s clock').toBeLessThan(120_000)
    await own.dispose()
  })
})

test('the app can be installed', async ({ page, context }) => {
  await enter(page, logInOf('patroller'))
  await workerReady(page)
  const session = await context.newCDPSession(page)
  await session.send('Page.enable')
  const { installabilityErrors } = await session.send('Page.getInstallabilityErrors')
  const told = installabilityErrors.map(({ errorId }) => errorId).filter((id) => id !== 'in-incognito')
  expect(told, 'reasons against installing').toEqual([])
  const { errors } = await session.send('Page.getAppManifest')
  expect(errors).toEqual([])
})

test('a citizen reports without an account and follows the answer', async ({ page, context }) => {
  await context.setGeolocation({ ...(await onPatch(logInOf('patroller'))), accuracy: 20 })
  await page.goto('/report')
  await page.locator('[data-test=public-photo]').setInputFiles(asFile('c.jpg', await photo(page, '群众举报')))
  await page.locator('#public-text').fill('村口在农田里盖房')
  await expect(page.locator('[data-test=public-position]')).toBeVisible()
  await picture(page, 'public-report-zh')
  await accessible(page, 'public report')
  await page.locator('[data-test=public-send]').click()
  await page.locator('[data-test=secret]').click()
  await expect(page.locator('[data-test=answer]')).toContainText('村口在农田里盖房')
  await accessible(page, 'answer')
})
