/** What a role may open; the server decides again on every request. */

type Allows = (role: string | undefined) => boolean

const only =
  (...roles: string[]): Allows =>
  (role) =>
    role !== undefined && roles.includes(role)

export const leaders = ['village_leader', 'town_leader', 'district_leader', 'city_leader'] as const

export const mayImport = only('planner', 'admin')
export const mayLead = only(...leaders, 'admin')
export const mayDispatch = only('dispatcher', 'squad_leader', 'admin')
export const mayReview = only('reviewer', 'admin')
export const mayReport = only(...leaders, 'dispatcher', 'squad_leader', 'reviewer', 'admin')
/** Out in the field with the phone; others may open it, e.g. from a notification. */
export const patrols = only('patroller', 'squad_leader')
export const mayAdminister = only('admin')
/** Figures are official: only who may see all of an area. */
export const isLeader = only(...leaders)

/** The page a role begins its day with, the first of these that exists. */
export function homesOf(role: string | undefined): string[] {
  if (isLeader(role)) return ['leader', 'map']
  switch (role) {
    case 'dispatcher':
      return ['dispatch', 'map']
    case 'reviewer':
      return ['review', 'map']
    case 'planner':
      return ['imports', 'map']
    case 'admin':
      return ['people', 'map']
    case 'patroller':
    case 'squad_leader':
      return ['phone', 'cases', 'map']
    default:
      return ['map']
  }
}
