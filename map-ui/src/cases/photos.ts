/** Which photo shows the place before, and which after. */
import type { Attachment, CaseEvent } from '@/api/cases'
import { word } from '@/components/words'

export interface PhotoStep {
  attachment: Attachment
  /** The step it came with. */
  action: string
  title: string
  at: string
}

/** The photos in the order of time, each with the step it came with. */
export function photoSteps(photos: readonly Attachment[], events: readonly CaseEvent[]): PhotoStep[] {
  return photos
    .map((attachment) => {
      const event = events.find((candidate) => candidate.attachments?.includes(attachment.id))
      const at = attachment.taken_at ?? event?.at ?? attachment.uploaded_at ?? ''
      const action = event?.action ?? 'report'
      return { attachment, action, title: word('action', action), at }
    })
    .sort((a, b) => Date.parse(a.at) - Date.parse(b.at))
}

const early: readonly string[] = ['report', 'dispatch', 'patrol_record', 'confirm', 'imported', 'stop_order']
const late: readonly string[] = ['recheck', 'record_demolition', 'apply_close', 'confirm_stopped']

/** What a reviewer compares: the first state of the place and the last. */
export function beforeAfter(steps: readonly PhotoStep[]): { before: PhotoStep[]; after: PhotoStep[] } {
  const after = steps.filter(({ action }) => late.includes(action))
  const before = steps.filter(({ action }) => early.includes(action))
  if (after.length || before.length === steps.length) return { before, after }
  return { before, after: steps.filter((step) => !before.includes(step)) }
}
