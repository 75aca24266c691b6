// Logs a patroller in with a browser that stays, and points Lighthouse at it.
import { chromium } from '@playwright/test'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

const [url, logins, profile, port, report] = process.argv.slice(2)
const { phone, password } = JSON.parse(readFileSync(logins, 'utf8')).find(({ role }) => role === 'patroller')
const context = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', `--remote-debugging-port=${port}`],
})
let failed = false
try {
  const page = context.pages()[0] ?? (await context.newPage())
  await page.goto(`${url}/phone`)
  await page.locator('input[name=phone]').fill(phone)
  await page.locator('input[name=password]').fill(password)
  await page.locator('button[type=submit]').click()
  await page.locator('[data-tab=phone-new]').waitFor()
  // It empties caches and service workers before, and leaves the log-in.
  execFileSync(
    'npx',
    ['--yes', 'lighthouse@12', `${url}/phone`, `--port=${port}`, '--quiet', '--output=json', `--output-path=${report}`,
      '--only-categories=performance,accessibility,best-practices', '--form-factor=mobile',
    ],
    { stdio: 'inherit', env: { ...process.env, CHROME_PATH: process.env.CHROMIUM ?? '/usr/bin/chromium' } },
  )
  const { categories, audits } = JSON.parse(readFileSync(report, 'utf8'))
  for (const [name, least] of [['performance', 90], ['accessibility', 95], ['best-practices', 0]]) {
    const score = Math.round((categories[name]?.score ?? 0) * 100)
    console.log(`${name}: ${score}${least ? ` (at least ${least})` : ''}`)
    if (score < least) failed = true
  }
  for (const name of ['first-contentful-paint', 'largest-contentful-paint', 'total-blocking-time', 'cumulative-layout-shift', 'speed-index', 'total-byte-weight']) {
    console.log(`${name}: ${audits[name]?.displayValue}`)
  }
} finally {
  await context.close()
}
process.exit(failed ? 1 : 0)
