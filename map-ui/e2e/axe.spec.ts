/** Every route, for a role that may open it: no violation of WCAG 2.2 A and AA that axe can find. */
import AxeBuilder from '@axe-core/playwright'
import { expect, logIn, test } from './support'

const pages: Record<string, string[]> = {
  city_leader: ['/map', '/leader', '/wall', '/cases', '/reports/cases', '/reports/patrollers'],
  dispatcher: ['/dispatch', '/dispatch/points', '/dispatch/public-reports'],
  reviewer: ['/review'],
  planner: ['/imports', '/layers'],
  admin: [
    '/admin/people', '/admin/duties', '/admin/gaps', '/admin/absences', '/admin/settings', '/admin/audit', '/admin/tokens',
  ],
}

for (const [role, routes] of Object.entries(pages)) {
  test(`the pages of ${role} are accessible`, async ({ page }) => {
    await logIn(page, role, routes[0])
    const found: string[] = []
    for (const route of routes) {
      await page.goto(route)
      await expect(page.locator('main')).toBeVisible()
      await page.waitForLoadState('networkidle')
      const { violations } = await new AxeBuilder({ page })
        .withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'])
        .analyze()
      for (const { id, nodes } of violations) {
        found.push(...nodes.map((node) => `${route} ${id}: ${node.target.join(' ')} ${node.failureSummary?.split('\n')[1] ?? ''}`))
      }
    }
    expect(found).toEqual([])
  })
}

test('a case’s page is accessible', async ({ page }) => {
  await logIn(page, 'city_leader', '/cases')
  await page.locator('[data-test=cases] a').first().click()
  await expect(page.locator('[data-test=timeline]')).toBeVisible()
  const { violations } = await new AxeBuilder({ page }).withTags(['wcag2a', 'wcag2aa', 'wcag22aa']).analyze()
  expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target.join(' ')).join(', ')}`)).toEqual([])
})
