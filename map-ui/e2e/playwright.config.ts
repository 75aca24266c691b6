import { defineConfig } from '@playwright/test'

/** Drives the Chromium of the system against a running service: `XUNCHA_URL`, `XUNCHA_LOGINS`. */
export default defineConfig({
  testDir: '.',
  // Where `make` does not look for changes.
  outputDir: '../node_modules/.e2e',
  workers: 1,
  // The stories build on each other's data: the second would hide why the first failed.
  maxFailures: 1,
  forbidOnly: true,
  timeout: 90_000,
  expect: { timeout: 30_000 },
  reporter: [['list'], ['./summary.ts']],
  use: {
    baseURL: process.env.XUNCHA_URL ?? 'http://127.0.0.1:8080',
    viewport: { width: 1440, height: 900 },
    locale: 'zh-CN',
    timezoneId: 'Asia/Shanghai',
    ignoreHTTPSErrors: true,
    trace: 'retain-on-failure',
    launchOptions: {
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: [
        '--headless',
        '--no-sandbox',
        '--disable-gpu',
        '--use-angle=swiftshader',
        '--enable-unsafe-swiftshader',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
        // A camera for the re-photograph, without asking.
        '--use-fake-device-for-media-stream',
        '--use-fake-ui-for-media-stream',
      ],
    },
  },
})
