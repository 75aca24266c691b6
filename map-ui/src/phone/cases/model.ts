/** Cases as the phone keeps them for the hours without signal. */
import type { Case, CaseEvent } from '@/api/cases'
import type { Offer } from './steps'

export interface CaseView extends Case {
  kept: {
    at: number
    /** Assigned to, or reported by, the person of this phone. */
    mine: boolean
    history?: CaseEvent[]
    actions?: Offer[]
  }
}

export const openStates: readonly string[] = ['dispatched', 'on_site', 'stopped', 'demolishing', 'close_applied']
