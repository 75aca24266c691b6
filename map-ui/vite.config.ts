import vue from '@vitejs/plugin-vue'
import { fileURLToPath, URL } from 'node:url'
import { ElementPlusResolver } from 'unplugin-vue-components/resolvers'
import Components from 'unplugin-vue-components/vite'
import { defineConfig } from 'vitest/config'

/** The service that answers `/api` and `/tiles` while developing. */
const service = process.env.XUNCHA_URL ?? 'http://127.0.0.1:8080'

export default defineConfig({
  plugins: [
    vue(),
    // Only Element Plus is resolved by name, each component with its own style sheet; our own
    // components are imported where they are used.
    Components({ dirs: [], dts: false, resolvers: [ElementPlusResolver({ directives: false })] }),
  ],
  resolve: { alias: { '@': fileURLToPath(new URL('./src', import.meta.url)) } },
  define: {
    __VUE_I18N_LEGACY_API__: false,
    __VUE_I18N_FULL_INSTALL__: false,
    __INTLIFY_PROD_DEVTOOLS__: false,
  },
  worker: { format: 'es' },
  build: {
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
