/** The desks in the order of the menu; one the role may not open, or that is not there, is left out. */
import type { Router } from 'vue-router'

const order = [
  'phone', 'leader', 'dispatch', 'review', 'cases', 'reports', 'map', 'imports', 'layers', 'admin', 'messages',
] as const

export function desksFor(router: Router, role: string | undefined): string[] {
  const routes = router.getRoutes()
  return order.filter((name) => {
    const route = routes.find((candidate) => candidate.name === name)
    return route !== undefined && route.meta.allows?.(role) !== false && route.meta.menu?.(role) !== false
  })
}
