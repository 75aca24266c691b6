/** What a role may open; the server decides again on every request. */
const planners: readonly string[] = ['planner', 'admin']

export function mayImport(role: string | undefined): boolean {
  return role !== undefined && planners.includes(role)
}
