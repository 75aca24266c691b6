/** Asks before something that hurts, or for a short text. */
import { ElMessageBox } from 'element-plus'
import 'element-plus/es/components/message-box/style/css'
import { i18n } from '@/i18n'

export interface TextQuestion {
  title: string
  text: string
  confirm: string
  /** What is said to a text that does not fit. */
  wrong: string
  pattern?: RegExp
  long?: boolean
}

/** The text, or `undefined` when it was put away. */
export async function askText(question: TextQuestion): Promise<string | undefined> {
  try {
    const answer = (await ElMessageBox.prompt(question.text, question.title, {
      inputType: question.long ? 'textarea' : 'text',
      inputPattern: question.pattern ?? /\S/,
      inputErrorMessage: question.wrong,
      confirmButtonText: question.confirm,
      cancelButtonText: i18n.global.t('app.cancel'),
    })) as { value?: string }
    return answer.value?.trim()
  } catch {
    return undefined
  }
}

export async function askSure(title: string, text: string, confirm: string): Promise<boolean> {
  try {
    await ElMessageBox.confirm(text, title, { confirmButtonText: confirm, cancelButtonText: i18n.global.t('app.cancel'), type: 'warning' })
    return true
  } catch {
    return false
  }
}

export async function tell(title: string, text: string): Promise<void> {
  try {
    await ElMessageBox.alert(text, title, { confirmButtonText: i18n.global.t('app.ok') })
  } catch {
    // Put away by the keyboard: it was seen.
  }
}
