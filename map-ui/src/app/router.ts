/** The pages. Each is fetched when it is first opened, with the libraries only it needs. */
import { createRouter, createWebHistory } from 'vue-router'
import { mayImport } from '@/session/roles'
import { useSession } from '@/session/store'

declare module 'vue-router' {
  interface RouteMeta {
    /** Open to people who are not logged in. */
    open?: boolean
    /** Whether a role may open the page; the menu follows it. */
    allows?: (role: string | undefined) => boolean
  }
}

export const router = createRouter({
  history: createWebHistory(),
  routes: [
    { path: '/login', name: 'login', component: () => import('@/session/LoginPage.vue'), meta: { open: true } },
    {
      path: '/',
      component: () => import('./Shell.vue'),
      children: [
        { path: '', name: 'map', component: () => import('@/map/MapPage.vue') },
        {
          path: 'imports/:id?',
          name: 'imports',
          component: () => import('@/imports/ImportPage.vue'),
          meta: { allows: mayImport },
        },
        { path: ':rest(.*)*', name: 'not-found', component: () => import('./NotFound.vue') },
      ],
    },
  ],
})

router.beforeEach(async (to) => {
  const session = useSession()
  await session.load()
  const inside = session.state !== 'out' && !session.mustChangePassword
  if (to.meta.open) return inside ? { path: '/' } : true
  if (!inside) return { name: 'login', query: to.fullPath === '/' ? {} : { to: to.fullPath } }
  if (to.meta.allows?.(session.me?.role) === false) return { name: 'not-found', query: { why: 'role' } }
  return true
})
