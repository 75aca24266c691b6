import { createPinia } from 'pinia'
import { createApp } from 'vue'
import App from '@/app/App.vue'
import { router } from '@/app/router'
import { i18n, restoreLanguage } from '@/i18n'
import '@/app/base.css'

async function start(): Promise<void> {
  await restoreLanguage()
  createApp(App).use(createPinia()).use(i18n).use(router).mount('#app')
}

void start()
