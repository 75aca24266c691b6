/** Steps that are taken on the phone, and what each asks for while the server cannot be asked. */

/** A step open to the person, as `GET /api/v1/cases/{id}/actions` lists it. */
export interface Offer {
  action: string
  name_zh?: string
  name_en?: string
  /** What the request must bring: `photos`, `text`, `reason`, `outcome`, `demolished_m2` … */
  needs: string[]
  /** What the case itself still lacks: until then the step would be refused. */
  lacks?: string[]
}

/** In the order of the way of a case. Others (review, supervision, settings) belong to a desk. */
export const phoneSteps = [
  'confirm', 'patrol_record', 'stop_order', 'confirm_stopped', 'demolish_order', 'record_demolition', 'recheck',
  'apply_close', 'urge', 'reassign', 'mark_duplicate', 'comment',
] as const

/** Steps that show the ghost of an old photo: the same view again is the evidence. */
export const ghostSteps: readonly string[] = ['recheck', 'record_demolition', 'apply_close', 'patrol_record']

const offer = (action: string, ...needs: string[]): Offer => ({ action, needs })

/** What the states allow the person in charge; the server decides on arrival. */
const byStatus: Record<string, Offer[]> = {
  dispatched: [offer('patrol_record'), offer('stop_order')],
  on_site: [
    offer('patrol_record'), offer('stop_order'), offer('confirm_stopped'), offer('demolish_order'), offer('recheck', 'photos'),
  ],
  stopped: [offer('patrol_record'), offer('demolish_order'), offer('recheck', 'photos'), offer('apply_close', 'outcome', 'demolished_if_so')],
  demolishing: [
    offer('patrol_record'), offer('record_demolition', 'demolished_m2'), offer('recheck', 'photos'),
    offer('apply_close', 'outcome', 'demolished_if_so'),
  ],
  close_applied: [offer('recheck', 'photos')],
}

export function likelyOffers(status: string): Offer[] {
  return [...(byStatus[status] ?? []), offer('comment', 'text')]
}

/** The state that a step leads to, for steps written one after the other without signal. */
const leadsTo: Record<string, string> = {
  stop_order: 'on_site', confirm_stopped: 'stopped', demolish_order: 'demolishing', apply_close: 'close_applied',
}

/** Where a case will stand once the steps that wait for it have arrived. */
export function statusAfter(status: string, actions: readonly string[]): string {
  return actions.reduce(
    (now, action) => (action === 'patrol_record' && now === 'dispatched' ? 'on_site' : (leadsTo[action] ?? now)),
    status,
  )
}

/** The offers that a phone shows, in the order of the way of a case. */
export function onPhone(offers: readonly Offer[]): Offer[] {
  return phoneSteps.flatMap((action) => offers.find((one) => one.action === action && !one.lacks?.length) ?? [])
}
