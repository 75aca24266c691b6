/** Short words after something was done or refused. */
import { ElMessage } from 'element-plus'
import 'element-plus/es/components/message/style/css'
import { problemOf } from '@/api/problem'
import { i18n } from '@/i18n'

export function done(text: string): void {
  ElMessage.success({ message: text, grouping: true })
}

/** Why something did not work, in the server's words where it has some. */
export function refused(error: unknown): void {
  if (error instanceof DOMException && error.name === 'AbortError') return
  const { t, te } = i18n.global
  const { code, detail, title, status, errors } = problemOf(error)
  const fields = errors.map((e) => e.detail).join(' ')
  const known = te(`problem.${code}`) ? t(`problem.${code}`) : undefined
  const message = known ?? ([detail ?? title, fields].filter(Boolean).join(' ') || t('problem.unexplained', { status }))
  ElMessage.error({ message, duration: 6000, showClose: true, grouping: true })
}
