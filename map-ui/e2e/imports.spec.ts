import { join } from 'node:path'
import type { Page } from '@playwright/test'
import { boundaries, expect, logIn, picture, settledMap, test } from './support'

const state = (page: Page) => page.locator('.summary [data-state]')

async function choose(page: Page, file: string, layer: string): Promise<void> {
  await page.locator('input[type=file]').setInputFiles(file)
  await page.locator('.form .el-select').first().click()
  await page.getByRole('option', { name: layer, exact: true }).click()
  await page.locator('[data-test=upload]').click()
}

test('a planner imports a zip, reads the check report and publishes', async ({ page, context }) => {
  await logIn(page, 'planner')
  const onlooker = await context.newPage()
  await onlooker.goto('/map')
  await settledMap(onlooker)

  await page.getByRole('link', { name: '数据导入' }).click()
  await choose(page, join(boundaries, 'functional-areas.zip'), '功能区')
  await expect(state(page)).toHaveAttribute('data-state', 'ready')
  await expect(page.locator('.summary')).toContainText('EPSG:4549')
  await settledMap(page)
  await picture(page, 'import-zh')
  await page.getByRole('button', { name: 'English' }).click()
  await expect(page.locator('.summary')).toContainText('Accepted')
  await settledMap(page)
  await picture(page, 'import-en')
  await page.getByRole('button', { name: '中文' }).click()

  const refreshed = onlooker.waitForRequest((request) => request.url().includes('/tiles/functional_area/'))
  await page.locator('[data-test=publish]').click()
  const consent = page.locator('[data-test=accept-rejected]')
  if (await consent.isVisible()) await consent.click()
  await page.locator('[data-test=publish-confirm]').click()
  await expect(state(page)).toHaveAttribute('data-state', 'published')
  await refreshed
  await onlooker.close()
})

test('a draft can be discarded', async ({ page }) => {
  await logIn(page, 'planner')
  await page.getByRole('link', { name: '数据导入' }).click()
  await choose(page, join(boundaries, 'functional-areas.zip'), '功能区')
  await expect(state(page)).toHaveAttribute('data-state', 'ready')
  await page.locator('[data-test=discard]').click()
  await page.locator('.el-popconfirm').getByRole('button', { name: '放弃' }).click()
  await expect(state(page)).toHaveAttribute('data-state', 'discarded')
})

test('a file that is no map is refused in plain words', async ({ page }) => {
  await logIn(page, 'planner')
  await page.getByRole('link', { name: '数据导入' }).click()
  await page.locator('input[type=file]').setInputFiles({
    name: 'letter.docx',
    mimeType: 'application/msword',
    buffer: Buffer.from('no map'),
  })
  await page.locator('[data-test=upload]').click()
  await expect(page.locator('.missing')).toContainText('不支持这种文件')
})
