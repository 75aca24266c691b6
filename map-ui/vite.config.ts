import vue from '@vitejs/plugin-vue'
import { fileURLToPath, URL } from 'node:url'
import { ElementPlusResolver } from 'unplugin-vue-components/resolvers'
import Components from 'unplugin-vue-components/vite'
import { VitePWA } from 'vite-plugin-pwa'
import { defineConfig } from 'vitest/config'
import { phoneFiles } from './build/precache.mjs'

/** The service that answers `/api` and `/tiles` while developing. */
const service = process.env.XUNCHA_URL ?? 'http://127.0.0.1:8080'

export default defineConfig({
  plugins: [
    vue(),
    // Only Element Plus is resolved by name, each component with its own style sheet; our own
    // components are imported where they are used.
    Components({ dirs: [], dts: false, resolvers: [ElementPlusResolver({ directives: false })] }),
    VitePWA({
      strategies: 'injectManifest',
      srcDir: 'src/phone',
      filename: 'sw.ts',
      // The phone's page registers it, not every desk.
      injectRegister: false,
      registerType: 'prompt',
      manifest: {
        id: '/phone',
        name: '巡查 · 违法占地违法建设治理',
        short_name: '巡查',
        description: '现场发现、核实、制止违法占地和违法建设；没有信号也能用。',
        lang: 'zh-CN',
        start_url: '/phone',
        scope: '/',
        display: 'standalone',
        orientation: 'portrait',
        background_color: '#f2f5f6',
        theme_color: '#1c3d52',
        icons: [
          { src: '/icons/icon-192.png', sizes: '192x192', type: 'image/png' },
          { src: '/icons/icon-512.png', sizes: '512x512', type: 'image/png' },
          { src: '/icons/maskable-512.png', sizes: '512x512', type: 'image/png', purpose: 'maskable' },
        ],
        shortcuts: [{ name: '新案', url: '/phone/new', icons: [{ src: '/icons/icon-192.png', sizes: '192x192' }] }],
      },
      injectManifest: {
        globPatterns: ['**/*.{js,css,html,svg,png,webmanifest}'],
        manifestTransforms: [
          async (entries) => {
            const wanted = phoneFiles(fileURLToPath(new URL('./dist', import.meta.url)))
            return { manifest: entries.filter(({ url }) => wanted.has(url)), warnings: [] }
          },
        ],
      },
    }),
  ],
  resolve: { alias: { '@': fileURLToPath(new URL('./src', import.meta.url)) } },
  define: {
    __VUE_I18N_LEGACY_API__: false,
    __VUE_I18N_FULL_INSTALL__: false,
    __INTLIFY_PROD_DEVTOOLS__: false,
  },
  worker: { format: 'es' },
  build: {
    // Tells the service worker's list which files a route needs.
    manifest: true,
    // MapLibre is one module of about 1 MB, fetched only by pages with a map; a chunk of its own
    // stays in the browser's cache when our pages change.
    chunkSizeWarningLimit: 1400,
    rolldownOptions: {
      output: { codeSplitting: { groups: [{ name: 'maplibre', test: /node_modules[\\/]maplibre-gl[\\/].*js$/ }] } },
    },
  },
  server: { proxy: { '/api': service, '/tiles': service } },
  test: { include: ['tests/**/*.test.ts'] },
})
