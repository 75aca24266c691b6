/** Words of the domain for codes of the API; a code without a word stands for itself. */
import { i18n } from '@/i18n'

export type WordKind =
  | 'status'
  | 'nature'
  | 'category'
  | 'role'
  | 'level'
  | 'source'
  | 'action'
  | 'alarm'
  | 'layerKind'
  | 'messageKind'

export function word(kind: WordKind, code: string | null | undefined): string {
  if (!code) return ''
  const key = `land.${kind}.${code}`
  return i18n.global.te(key) ? i18n.global.t(key) : code
}
