/** Web push: messages reach the phone while the app is closed, where the browser's service works. */
import { call } from '@/api/call'

export type PushState = 'unsupported' | 'denied' | 'off' | 'on'

function bytes(base64url: string): Uint8Array<ArrayBuffer> {
  const text = atob(base64url.replace(/-/g, '+').replace(/_/g, '/'))
  return Uint8Array.from(text, (character) => character.charCodeAt(0))
}

async function registration(): Promise<ServiceWorkerRegistration | undefined> {
  return 'serviceWorker' in navigator && 'PushManager' in globalThis ? navigator.serviceWorker.getRegistration() : undefined
}

export async function pushState(): Promise<PushState> {
  const worker = await registration()
  if (!worker) return 'unsupported'
  if (Notification.permission === 'denied') return 'denied'
  return (await worker.pushManager.getSubscription()) ? 'on' : 'off'
}

const idKey = 'xuncha.push'

/** Asks for the permission, subscribes, and tells the server where to. */
export async function pushOn(): Promise<PushState> {
  const worker = await registration()
  if (!worker) return 'unsupported'
  if ((await Notification.requestPermission()) !== 'granted') return 'denied'
  const answer = await call<{ key?: string; public_key?: string }>('GET', '/api/v1/push/key')
  const key = answer.key ?? answer.public_key ?? ''
  const subscription = await worker.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: bytes(key) })
  const { endpoint, keys } = subscription.toJSON()
  const kept = await call<{ id?: string }>('POST', '/api/v1/push/subscriptions', { body: { endpoint, keys } })
  if (kept?.id) localStorage.setItem(idKey, kept.id)
  return 'on'
}

export async function pushOff(): Promise<PushState> {
  const subscription = await (await registration())?.pushManager.getSubscription()
  await subscription?.unsubscribe()
  const id = localStorage.getItem(idKey)
  if (id) await call('DELETE', `/api/v1/push/subscriptions/${id}`).catch(() => undefined)
  localStorage.removeItem(idKey)
  return 'off'
}
