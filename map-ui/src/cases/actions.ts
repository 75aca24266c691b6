/** The steps a case may take, as the server offers them, and what the dialog asks for each. */
import { call } from '@/api/call'
import type { ActionOffer } from '@/api/cases'

export async function offers(caseId: string, signal?: AbortSignal): Promise<ActionOffer[]> {
  return (await call<{ items: ActionOffer[] }>('GET', `/api/v1/cases/${caseId}/actions`, { signal })).items
}

export type Field =
  | 'to_user'
  | 'duplicate_of'
  | 'authority'
  | 'outcome'
  | 'demolished_m2'
  | 'deadline'
  | 'reason'
  | 'text'

const order: readonly Field[] = [
  'to_user', 'duplicate_of', 'authority', 'outcome', 'demolished_m2', 'deadline', 'reason', 'text',
]
/** What may come with a step beside what it needs. */
const besides: Record<string, Field[]> = {
  transfer: ['authority'],
  supervise: ['deadline'],
  reassign: ['deadline'],
}

/** Whether a step needs a field; some only for the outcome `demolished`. */
export function isNeeded(offer: ActionOffer, field: Field, outcome: string): boolean {
  if (field === 'demolished_m2' && offer.needs.includes('demolished_if_so')) return outcome === 'demolished'
  return offer.needs.includes(field)
}

/** The fields of a step's form, in their order; a remark is always possible. */
export function fieldsOf(offer: ActionOffer): Field[] {
  const asked = new Set<string>([...offer.needs, ...(besides[offer.action] ?? []), 'text'])
  if (asked.has('demolished_if_so')) asked.add('demolished_m2')
  return order.filter((field) => asked.has(field))
}

/** Steps that show something: photos may come with them. */
const shown: readonly string[] = [
  'comment', 'reject', 'transfer', 'apply_close', 'recheck', 'patrol_record', 'stop_order', 'confirm_stopped',
  'demolish_order', 'record_demolition',
]
export const takesPhotos = (offer: ActionOffer) => offer.needs.includes('photos') || shown.includes(offer.action)

/** Steps that cannot be taken back, shown in red. */
export const grave: readonly string[] = ['reject', 'mark_duplicate', 'transfer', 'return_close', 'return_report']

/** What most people come for, shown first. */
const frequent = [
  'approve_close', 'return_close', 'confirm', 'return_report', 'urge', 'supervise', 'reassign', 'extend',
  'patrol_record', 'stop_order', 'confirm_stopped', 'demolish_order', 'record_demolition', 'recheck', 'apply_close',
  'transfer', 'mark_duplicate', 'reject', 'reopen', 'comment',
]
const place = ({ action }: ActionOffer) => (frequent.includes(action) ? frequent.indexOf(action) : frequent.length)
export const inOrder = (offered: readonly ActionOffer[]) => [...offered].sort((a, b) => place(a) - place(b))
