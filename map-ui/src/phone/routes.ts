/** The pages of the phone. */
import type { RouteRecordRaw } from 'vue-router'
import { patrols } from '@/session/roles'

export const phoneRoutes: RouteRecordRaw = {
  path: '/phone',
  component: () => import('./PhoneShell.vue'),
  children: [
    { path: '', name: 'phone', component: () => import('./pages/HomePage.vue'), meta: { menu: patrols } },
    { path: 'new', name: 'phone-new', component: () => import('./pages/NewCasePage.vue') },
    { path: 'sent/:id', name: 'phone-sent', component: () => import('./pages/SentPage.vue'), props: true },
    { path: 'cases', name: 'phone-cases', component: () => import('./pages/CasesPage.vue') },
    { path: 'cases/:id', name: 'phone-case', component: () => import('./pages/CasePage.vue'), props: true },
    {
      path: 'cases/:id/steps/:action',
      name: 'phone-step',
      component: () => import('./pages/StepPage.vue'),
      props: true,
    },
    { path: 'queue', name: 'phone-queue', component: () => import('./pages/QueuePage.vue') },
    { path: 'messages', name: 'phone-messages', component: () => import('@/messages/MessagesPage.vue') },
    { path: 'me', name: 'phone-me', component: () => import('./pages/MePage.vue') },
  ],
}

export const publicRoutes: RouteRecordRaw[] = [
  { path: '/report', name: 'report', component: () => import('@/public/ReportPage.vue'), meta: { public: true } },
  {
    path: '/report/:secret',
    name: 'report-answer',
    component: () => import('@/public/AnswerPage.vue'),
    props: true,
    meta: { public: true },
  },
]
