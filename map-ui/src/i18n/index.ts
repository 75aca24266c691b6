/** Both languages: Chinese is the default and comes with the page, English is fetched on use. */
import { createI18n } from 'vue-i18n'
import { speak } from '@/api/client'
import zh from './zh'

/** Every language is complete: the compiler compares its messages with the Chinese ones. */
export type Messages = Strings<typeof zh>
type Strings<T> = { [K in keyof T]: T[K] extends string ? string : Strings<T[K]> }

export const languages = { zh: '中文', en: 'English' } as const
export type Language = keyof typeof languages

const storageKey = 'xuncha.language'
const loaders: Record<Exclude<Language, 'zh'>, () => Promise<{ default: Messages }>> = {
  en: () => import('./en'),
}

export const i18n = createI18n({
  legacy: false,
  locale: 'zh',
  fallbackLocale: 'zh',
  messages: { zh } as Record<Language, Messages>,
})

function remembered(): Language {
  try {
    const kept = localStorage.getItem(storageKey)
    return kept !== null && kept in languages ? (kept as Language) : 'zh'
  } catch {
    return 'zh' // storage is barred by policy
  }
}

export async function setLanguage(language: Language): Promise<void> {
  if (language !== 'zh' && !i18n.global.availableLocales.includes(language)) {
    i18n.global.setLocaleMessage(language, (await loaders[language]()).default)
  }
  i18n.global.locale.value = language
  speak(language)
  document.documentElement.lang = language === 'zh' ? 'zh-CN' : language
  document.title = i18n.global.t('app.name')
  try {
    localStorage.setItem(storageKey, language)
  } catch {
    // Then it lasts until the page is closed.
  }
}

/** The language of the last visit. */
export function restoreLanguage(): Promise<void> {
  return setLanguage(remembered())
}
