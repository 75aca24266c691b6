/** The roles in the order of domain and forms. */
export const roles = [
  'patroller', 'squad_leader', 'reviewer', 'village_leader', 'town_leader', 'district_leader', 'city_leader',
  'dispatcher', 'planner', 'admin',
] as const
export const dutyNatures = ['*', 'illegal_land_use', 'illegal_construction'] as const
