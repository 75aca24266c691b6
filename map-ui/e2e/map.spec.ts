import type { Page } from '@playwright/test'
import { differingPixels, expect, logIn, logInOf, mapPicture, picture, settledMap, test } from './support'

const card = '[data-test=lookup-card]'

async function lookUp(page: Page, text: string, datum?: string): Promise<void> {
  if (datum) {
    await page.locator('.lookup .el-select').first().click()
    await page.getByRole('option', { name: datum }).click()
  }
  const answered = page.waitForResponse((response) => response.url().includes('/api/v1/lookup'))
  await page.locator('input[name=coordinate]').fill(text)
  await page.keyboard.press('Enter')
  await answered
}

/** The code of the grid cell that the card shows. */
async function cellCode(page: Page): Promise<string> {
  const codes = await page.locator(`${card} section dd code`).allTextContents()
  return codes.find((code) => code.trim().length === 15)?.trim() ?? ''
}

test.describe('a wrong password', () => {
  test.use({ refusalsExpected: true })

  test('is refused in plain words', async ({ page }) => {
    await page.goto('/')
    await page.locator('input[name=phone]').fill(logInOf('planner').phone)
    await page.locator('input[name=password]').fill('certainly wrong')
    await page.locator('button[type=submit]').click()
    await expect(page.getByRole('alert')).toContainText(/密码/)
    await expect(page.locator('header nav')).toHaveCount(0)
  })
})

test('the heatmap paints, and follows its filters', async ({ page }) => {
  await logIn(page, 'city_leader')
  const everything = await mapPicture(page)
  await picture(page, 'map-zh')

  const toggle = page.getByText('案件热力图')
  await toggle.click()
  const nothing = await mapPicture(page)
  const painted = await differingPixels(page, everything, nothing)
  expect(painted, 'pixels painted by the heatmap').toBeGreaterThan(20_000)

  await toggle.click()
  const filtered = page.waitForResponse((response) => /\/tiles\/heat\/.*nature=illegal_construction/.test(response.url()))
  await page.locator('.filters .el-select').nth(1).click()
  await page.getByRole('option', { name: '违法建设' }).click()
  expect((await filtered).ok()).toBe(true)
  const some = await mapPicture(page)
  expect(await differingPixels(page, everything, some), 'pixels changed by the filter').toBeGreaterThan(2_000)
})

test('a coordinate gives place, land and person, whatever its datum', async ({ page }) => {
  await logIn(page, 'city_leader')
  await settledMap(page)
  await lookUp(page, '119.0, 25.43')
  await expect(page.locator(card)).toContainText('莆田市')
  const cell = await cellCode(page)
  expect(cell).toMatch(/^3503\d{11}$/)
  await lookUp(page, '399400.84, 2814064.89', 'EPSG:4549')
  expect(await cellCode(page)).toBe(cell)
  await lookUp(page, 'X=2814064.89 Y=40399400.84', 'EPSG:4528')
  expect(await cellCode(page)).toBe(cell)
  await expect(page.getByRole('status').filter({ hasText: '已自动调换' })).toBeVisible()

  await lookUp(page, '119.0078，25.4540', 'WGS 84')
  await expect(page.locator(`${card} a[href^="tel:"]`).first()).toBeVisible()
  await page.goto('/map#at=13.4/25.454/119.0078')
  await page.reload()
  await settledMap(page)
  await page.getByText('地类图斑').click()
  const canvas = await settledMap(page)
  const box = await canvas.boundingBox()
  if (!box) throw new Error('the map has no place on the page')
  await canvas.click({ position: { x: box.width / 2, y: box.height / 2 } })
  const popup = page.locator('.maplibregl-popup')
  await expect(page.locator(card).or(popup).first()).toBeVisible()
  if (await popup.count()) await lookUp(page, '119.0078, 25.4540')
  await expect(page.locator(card)).toContainText('莆田市')
  await settledMap(page)
  await picture(page, 'lookup-zh')

  await lookUp(page, '119.9, 25.0')
  await expect(page.locator('.lookup').getByRole('alert')).toContainText('不在本市范围内')
  await lookUp(page, '119.0078, 25.4540')

  await page.getByRole('button', { name: 'English' }).click()
  await expect(page.locator(card)).toContainText('Grid cell')
  await settledMap(page)
  await picture(page, 'lookup-en')
})

test('the language is kept', async ({ page }) => {
  await logIn(page, 'city_leader')
  await page.getByRole('button', { name: 'English' }).click()
  await expect(page.getByRole('heading', { name: 'Coordinate look-up' })).toBeVisible()
  await page.reload()
  await expect(page.getByRole('heading', { name: 'Coordinate look-up' })).toBeVisible()
  await expect(page.locator('html')).toHaveAttribute('lang', 'en')
  await settledMap(page)
  await picture(page, 'map-en')
})

test.describe('a lost session', () => {
  test.use({ refusalsExpected: true })

  test('asks for the log-in again and keeps the page', async ({ page }) => {
    const login = await logIn(page, 'city_leader')
    await settledMap(page)
    await page.context().clearCookies()
    await page.locator('input[name=coordinate]').fill('119.0078, 25.4540')
    await page.keyboard.press('Enter')
    const dialog = page.getByRole('dialog', { name: '请重新登录' })
    await expect(dialog.locator('input[name=phone]')).toHaveValue(login.phone)
    await dialog.locator('input[name=password]').fill(login.password)
    await dialog.locator('button[type=submit]').click()
    await expect(dialog).toBeHidden()
    await expect(page.locator('input[name=coordinate]')).toHaveValue('119.0078, 25.4540')
    await lookUp(page, '119.0078, 25.4540')
    await expect(page.locator(card)).toContainText('莆田市')
  })
})
