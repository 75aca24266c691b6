/** The pages. Each is fetched when it is first opened, with the libraries only it needs. */
import { createRouter, createWebHistory } from 'vue-router'
import { phoneRoutes, publicRoutes } from '@/phone/routes'
import { homesOf, mayAdminister, mayDispatch, mayImport, mayLead, mayReport, mayReview } from '@/session/roles'
import { useSession } from '@/session/store'

declare module 'vue-router' {
  interface RouteMeta {
    /** Open to people who are not logged in. */
    open?: boolean
    /** Open to everybody, logged in or not. */
    public?: boolean
    /** Whether a role may open the page; the menu follows it. */
    allows?: (role: string | undefined) => boolean
    /** Whether the menu shows it to a role that may open it. */
    menu?: (role: string | undefined) => boolean
    /** The desk in the menu that a page belongs to, if not itself. */
    desk?: string
  }
}

export const router = createRouter({
  history: createWebHistory(),
  routes: [
    { path: '/login', name: 'login', component: () => import('@/session/LoginPage.vue'), meta: { open: true } },
    phoneRoutes,
    ...publicRoutes,
    {
      path: '/wall',
      name: 'wall',
      component: () => import('@/leader/WallPage.vue'),
      meta: { allows: mayLead, desk: 'leader' },
    },
    {
      path: '/',
      component: () => import('./Shell.vue'),
      children: [
        { path: '', name: 'home', component: () => import('./NotFound.vue') },
        { path: 'map', name: 'map', component: () => import('@/map/MapPage.vue') },
        {
          path: 'leader',
          name: 'leader',
          component: () => import('@/leader/LeaderPage.vue'),
          meta: { allows: mayLead },
        },
        {
          path: 'dispatch',
          name: 'dispatch',
          component: () => import('@/dispatch/DispatchPage.vue'),
          meta: { allows: mayDispatch },
        },
        {
          path: 'dispatch/points',
          name: 'points',
          component: () => import('@/dispatch/PointsPage.vue'),
          meta: { desk: 'dispatch' },
        },
        {
          path: 'dispatch/public-reports',
          name: 'public-reports',
          component: () => import('@/dispatch/PublicReportsPage.vue'),
          meta: { allows: mayDispatch, desk: 'dispatch' },
        },
        { path: 'cases', name: 'cases', component: () => import('@/cases/CasesPage.vue') },
        {
          path: 'cases/:id',
          name: 'case',
          component: () => import('@/cases/CasePage.vue'),
          props: true,
          meta: { desk: 'cases' },
        },
        {
          path: 'review',
          name: 'review',
          component: () => import('@/review/ReviewPage.vue'),
          meta: { allows: mayReview },
        },
        {
          path: 'reports/:report?',
          name: 'reports',
          component: () => import('@/reports/ReportsPage.vue'),
          props: true,
          meta: { allows: mayReport },
        },
        {
          path: 'imports/:id?',
          name: 'imports',
          component: () => import('@/imports/ImportPage.vue'),
          meta: { allows: mayImport },
        },
        {
          path: 'layers',
          name: 'layers',
          component: () => import('@/planner/LayersPage.vue'),
          meta: { allows: mayImport },
        },
        {
          path: 'admin',
          name: 'admin',
          component: () => import('@/admin/AdminPage.vue'),
          redirect: { name: 'people' },
          meta: { allows: mayAdminister, desk: 'admin' },
          children: [
            { path: 'people', name: 'people', component: () => import('@/admin/PeoplePage.vue') },
            { path: 'duties', name: 'duties', component: () => import('@/admin/DutiesPage.vue') },
            { path: 'gaps', name: 'gaps', component: () => import('@/admin/GapsPage.vue') },
            { path: 'absences', name: 'absences', component: () => import('@/admin/AbsencesPage.vue') },
            { path: 'settings', name: 'settings', component: () => import('@/admin/SettingsPage.vue') },
            { path: 'audit', name: 'audit', component: () => import('@/admin/AuditPage.vue') },
            { path: 'tokens', name: 'tokens', component: () => import('@/admin/TokensPage.vue') },
          ],
        },
        { path: 'messages', name: 'messages', component: () => import('@/messages/MessagesPage.vue') },
        { path: 'profile', name: 'profile', component: () => import('@/profile/ProfilePage.vue') },
        { path: ':rest(.*)*', name: 'not-found', component: () => import('./NotFound.vue') },
      ],
    },
  ],
})

router.beforeEach(async (to) => {
  if (to.meta.public) return true
  const session = useSession()
  // The phone opens at once with who was logged in last; the server is asked beside.
  await session.load(to.path.startsWith('/phone'))
  const inside = session.state !== 'out' && !session.mustChangePassword
  if (to.meta.open) return inside ? { path: '/' } : true
  if (!inside) return { name: 'login', query: to.fullPath === '/' ? {} : { to: to.fullPath } }
  const role = session.me?.role
  if (to.name === 'home') return { name: homesOf(role).find((name) => router.hasRoute(name)) ?? 'map' }
  if (to.matched.some((record) => record.meta.allows?.(role) === false)) {
    return { name: 'not-found', query: { why: 'role' } }
  }
  return true
})
