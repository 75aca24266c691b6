/** The steps a case may take, as the server offers them, and what the dialog asks for each. */
import { call } from '@/api/call'
import type { ActionOffer } from '@/api/cases'

const names = (value: unknown): string[] =>
  Array.isArray(value)
    ? value.flatMap((entry) => {
        if (typeof entry === 'string') return [entry]
        const { name, field } = (entry ?? {}) as Record<string, unknown>
        const found = name ?? field
        return typeof found === 'string' ? [found] : []
      })
    : []

/** Reads what `GET /cases/{id}/actions` answers. */
export function readOffers(answer: unknown): ActionOffer[] {
  const items = Array.isArray(answer)
    ? answer
    : ((answer as { items?: unknown[]; actions?: unknown[] } | null)?.items ??
      (answer as { actions?: unknown[] } | null)?.actions ??
      [])
  return (items as unknown[]).flatMap((item): ActionOffer[] => {
    if (typeof item === 'string') return [{ action: item, required: [], optional: [], evidence: 0 }]
    const fields = (item ?? {}) as Record<string, unknown>
    if (typeof fields.action !== 'string' || fields.allowed === false) return []
    const evidence = fields.evidence ?? fields.photos
    return [
      {
        action: fields.action,
        required: names(fields.required ?? fields.fields ?? fields.needs),
        optional: names(fields.optional),
        evidence: typeof evidence === 'number' ? evidence : evidence === true || (Array.isArray(evidence) && evidence.length > 0) ? 1 : 0,
        outcomes: names(fields.outcomes),
      },
    ]
  })
}

export async function offers(caseId: string, signal?: AbortSignal): Promise<ActionOffer[]> {
  return readOffers(await call<unknown>('GET', `/api/v1/cases/${caseId}/actions`, { signal }))
}

/** What a step asks beyond what the server names, so that the form is whole at first sight. */
const usual: Record<string, string[]> = {
  reassign: ['to_user', 'reason'],
  transfer: ['reason'],
  mark_duplicate: ['duplicate_of', 'reason'],
  reject: ['reason'],
  return_report: ['reason'],
  return_close: ['reason'],
  reopen: ['reason'],
  comment: ['text'],
  record_demolition: ['demolished_m2'],
  apply_close: ['outcome'],
}

export type Field = 'to_user' | 'reason' | 'duplicate_of' | 'text' | 'demolished_m2' | 'outcome'
const known: readonly Field[] = ['to_user', 'duplicate_of', 'outcome', 'demolished_m2', 'reason', 'text']

/** The fields of a step's form in their order; `text` is always there as a remark. */
export function fieldsOf(offer: ActionOffer): { field: Field; required: boolean }[] {
  const required = new Set([...(usual[offer.action] ?? []), ...offer.required])
  const asked = new Set([...required, ...offer.optional, 'text'])
  return known.filter((field) => asked.has(field)).map((field) => ({ field, required: required.has(field) }))
}

/** Steps that cannot be taken back, shown in red. */
export const grave: readonly string[] = ['reject', 'mark_duplicate', 'transfer', 'return_close', 'return_report']
/** What most people come for, shown first. */
const order = [
  'approve_close', 'return_close', 'confirm', 'return_report', 'urge', 'supervise', 'reassign', 'patrol_record',
  'stop_order', 'confirm_stopped', 'demolish_order', 'record_demolition', 'recheck', 'apply_close', 'transfer',
  'mark_duplicate', 'reject', 'reopen', 'comment',
]
export const inOrder = (offers: readonly ActionOffer[]) =>
  [...offers].sort((a, b) => (order.indexOf(a.action) + 99) % 99 - (order.indexOf(b.action) + 99) % 99)
