/** The codes of the API that forms offer. */
export const statuses = [
  'dispatched', 'on_site', 'stopped', 'demolishing', 'close_applied', 'closed', 'rejected', 'duplicate', 'transferred',
] as const
export const natures = ['illegal_land_use', 'illegal_construction', 'both'] as const
export const sources = ['patrol', 'public', 'satellite', 'assigned'] as const
