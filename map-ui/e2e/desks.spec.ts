/** One story per role at its desk, on the running demo. */
import { readFileSync } from 'node:fs'
import type { APIRequestContext, Page, PlaywrightWorkerArgs } from '@playwright/test'
import { expect, logIn, logInOf, picture, settledMap, test } from './support'

async function speak(page: Page, language: '中文' | 'English'): Promise<void> {
  await page.getByRole('button', { name: language }).first().click()
}

/** Pictures of a desk in both languages; the page is left in Chinese. */
async function pictures(page: Page, name: string, map = false): Promise<void> {
  for (const [language, suffix] of [['English', 'en'], ['中文', 'zh']] as const) {
    await speak(page, language)
    if (map) await settledMap(page)
    await picture(page, `${name}-${suffix}`)
  }
}

/** The API as somebody else, beside the browser. */
async function as(role: string, playwright: PlaywrightWorkerArgs['playwright'], baseURL: string): Promise<APIRequestContext> {
  const { phone, password } = logInOf(role)
  const api = await playwright.request.newContext({ baseURL, ignoreHTTPSErrors: true })
  const answer = await api.post('/api/v1/session', { data: { phone, password } })
  expect(answer.ok(), await answer.text()).toBe(true)
  return api
}

async function send<T>(api: APIRequestContext, path: string, data: unknown): Promise<T> {
  const answer = await api.post(`/api/v1${path}`, { data })
  expect(answer.ok(), `${path}: ${await answer.text()}`).toBe(true)
  return (await answer.json()) as T
}

interface Made {
  id: string
  number: string
}

/** A new case on a patroller's patch. */
async function report(api: APIRequestContext): Promise<Made> {
  const area = logInOf('patroller').area_code
  const found = (await (await api.get(`/api/v1/places?q=${area}`)).json()) as { items: { lon: number; lat: number }[] }
  const at = found.items[0]
  if (!at) throw new Error(`no place ${area}`)
  return send<Made>(api, '/cases', {
    id: crypto.randomUUID(), lon: at.lon, lat: at.lat, crs: 'cgcs2000', accuracy_m: 5, nature: 'illegal_construction',
    source: 'patrol', patrol_kind: 'regular', use: 'homestead', area_m2: 120, new_build: true, party: { name: '张三' },
  })
}

test('a dispatcher pastes anything, and finds who answers', async ({ page }) => {
  await logIn(page, 'dispatcher', '/dispatch')
  const box = page.locator('[data-test=one-box]')
  const told = page.locator('[data-test=told]')
  const card = page.locator('[data-test=lookup-card]')

  // Degrees do not tell their datum: it is asked.
  await box.fill('119.0078,25.4540')
  await expect(told).toContainText('坐标系')
  await page.getByText('WGS 84（手机、GPS）').click()
  await expect(card).toContainText('莆田市')
  await expect(card.locator('a[href^="tel:"]').first()).toBeVisible()
  await settledMap(page)
  await pictures(page, 'dispatch', true)

  // Metres with their zone say everything.
  await box.fill('40399400.84 2814064.89')
  await page.keyboard.press('Enter')
  await expect(card).toContainText('119.0000')
  // The name of a place.
  const town = (await card.locator('section dd').nth(2).textContent())?.trim().split(/\s/)[0] ?? ''
  expect(town.length).toBeGreaterThan(1)
  await box.fill(town)
  await page.keyboard.press('Enter')
  await expect(page.locator('[data-test=hits], .place').first()).toContainText(town)
  // What nobody can read is said at once.
  await box.fill('119.0078')
  await expect(told).toContainText('看不懂')
})

test('a list of points goes in, comes back as a table and is downloaded', async ({ page }) => {
  await logIn(page, 'dispatcher', '/dispatch/points')
  await page.locator('textarea[name=points]').fill('119.0078, 25.4540\n25.43, 119.0\n121.5, 31.2\nnonsense')
  await page.locator('[data-test=batch]').click()
  const answers = page.locator('[data-test=answers]')
  await expect(answers.locator('tbody tr')).toHaveCount(4)
  await expect(answers).toContainText('350302')
  const [file] = await Promise.all([page.waitForEvent('download'), page.locator('[data-test=download]').click()])
  const text = readFileSync(await file.path(), 'utf8')
  expect(text).toContain('responsible_phone')
  expect(text.trim().split('\n')).toHaveLength(5)
  await picture(page, 'points-zh')
})

test('cases are filtered, kept under a name, and opened', async ({ page }) => {
  await logIn(page, 'dispatcher', '/cases?nature=illegal_construction')
  await expect(page.locator('[data-test=total]')).toContainText(/\d/)
  await pictures(page, 'cases')
  await page.locator('[data-test=saved-filters]').click()
  await page.getByRole('menuitem', { name: '保存当前筛选' }).click()
  await page.locator('.el-message-box input').fill('违建')
  await page.locator('.el-message-box').getByRole('button', { name: '保存' }).click()
  await expect(page.getByText('已保存').first()).toBeVisible()
  await page.getByRole('button', { name: '清除筛选' }).click()
  await expect(page).not.toHaveURL(/nature=/)
  await page.locator('[data-test=saved-filters]').click()
  await page.getByRole('menuitem', { name: '违建' }).click()
  await expect(page).toHaveURL(/nature=illegal_construction/)
  await page.locator('[data-test=cases] a').first().click()
  await expect(page.locator('[data-test=timeline]')).toBeVisible()
  await settledMap(page)
  await pictures(page, 'case', true)
})

test('a leader goes down to a town, plays the years, and urges', async ({ page, playwright, baseURL }) => {
  await logIn(page, 'city_leader', '/leader')
  const figures = page.locator('[data-test=figures]')
  await expect(figures.locator('tbody tr').first()).toBeVisible()
  await settledMap(page)
  await pictures(page, 'leader', true)
  await figures.locator('tbody button').first().click()
  await expect(page).toHaveURL(/area=\d{6}/)
  await expect(figures.locator('.el-breadcrumb__item')).toHaveCount(2)

  const tile = page.waitForRequest((request) => /\/tiles\/heat\/.*from=20\d\d-/.test(request.url()))
  await page.locator('[data-test=play]').click()
  await tile
  await page.locator('[data-test=play]').click()
  await expect(page).toHaveURL(/from=20\d\d-\d\d-01/)

  // A new case pulses while the page is open.
  await page.goto('/leader')
  await settledMap(page)
  const patroller = await as('patroller', playwright, baseURL ?? '')
  await report(patroller)
  await expect(page.locator('.case-pulse').first()).toBeAttached({ timeout: 5000 })
  await page.goto('/wall')
  await expect(page.locator('[data-test=wall-page] [data-test=figures] strong').first()).toBeVisible()
  await settledMap(page)
  await picture(page, 'wall-zh')
})

test('a reviewer compares, and approves by keyboard', async ({ page, playwright, baseURL }) => {
  const patroller = await as('patroller', playwright, baseURL ?? '')
  const made = await report(patroller)
  for (const step of [
    { action: 'patrol_record', text: '到场' },
    { action: 'confirm_stopped', text: '已停' },
    { action: 'apply_close', outcome: 'stopped' },
  ]) {
    await send(patroller, `/cases/${made.id}/actions`, { id: crypto.randomUUID(), ...step })
  }
  await logIn(page, 'reviewer', '/review')
  const mine = page.locator('[data-test=queue] button', { hasText: made.number })
  await mine.click()
  await expect(page.getByRole('heading', { name: made.number })).toBeVisible()
  await expect(page.locator('[data-test=timeline]')).toContainText('申请结案')
  await settledMap(page)
  await pictures(page, 'review', true)
  await page.locator('h2').first().click({ trial: true })
  await page.keyboard.press('a')
  await expect(mine).toHaveCount(0)
  const after = (await (await patroller.get(`/api/v1/cases/${made.id}`)).json()) as { status: string }
  expect(after.status).toBe('closed')
})

test('figures are read, followed to their cases, and taken as a workbook', async ({ page }) => {
  await logIn(page, 'city_leader', '/reports/cases')
  const table = page.locator('[data-test=report]')
  await expect(table.locator('tbody tr').first()).toBeVisible()
  await expect(page.locator('.chart canvas').first()).toBeVisible()
  await settledMap(page)
  await pictures(page, 'reports', true)
  const [file] = await Promise.all([page.waitForEvent('download'), page.locator('[data-test=excel]').click()])
  expect(file.suggestedFilename()).toMatch(/\.xlsx$/)
  expect(readFileSync(await file.path()).subarray(0, 2).toString()).toBe('PK')
  const link = table.locator('[data-test=figure-found]').first()
  const count = await link.textContent()
  await link.click()
  await expect(page).toHaveURL(/\/cases\?/)
  await expect(page.locator('[data-test=total]')).toContainText(` ${count?.trim()} `)
})

test('a planner sees the versions, styles a layer and takes it along', async ({ page }) => {
  await logIn(page, 'planner', '/layers')
  await expect(page.locator('[data-test=versions] tbody tr').first()).toBeVisible()
  await pictures(page, 'layers')
  await page.getByRole('tab', { name: '导出' }).click()
  const [file] = await Promise.all([
    page.waitForEvent('download'),
    page.locator('[data-test=export-town-gpkg]').click(),
  ])
  expect(readFileSync(await file.path()).subarray(0, 6).toString()).toBe('SQLite')
})

test('an administrator adds a person, and changes a setting', async ({ page }) => {
  await logIn(page, 'admin', '/admin/people')
  await expect(page.locator('[data-test=people] tbody tr').first()).toBeVisible()
  await pictures(page, 'people')
  await page.goto('/admin/settings')
  await expect(page.locator('[data-test=save-setting]')).toBeDisabled()
  await pictures(page, 'settings')
  await page.goto('/admin/duties')
  await settledMap(page)
  await picture(page, 'duties-zh')
  await page.goto('/admin/audit')
  await expect(page.locator('[data-test=audit] tbody tr').first()).toBeVisible()
})
