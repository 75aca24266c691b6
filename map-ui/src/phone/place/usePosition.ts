/** Where the phone is. Browsers give WGS 84. */
import { computed, onScopeDispose, ref, shallowRef } from 'vue'

export interface Fix {
  lon: number
  lat: number
  accuracy_m: number
  /** The phone's clock, ms. */
  at: number
}

/** From here on the phone's position is no position: a pin on the map decides. */
export const coarseFromM = 100

/** A fix older than this does not say where one stands now. */
const staleMs = 60_000

/**
 * Whether a newer fix replaces the one there is: a better one does, and any when the old one has
 * aged; a worse one of the same moment does not.
 */
export function better(kept: Fix | undefined, fresh: Fix): boolean {
  if (!kept) return true
  return fresh.accuracy_m <= kept.accuracy_m * 1.5 || fresh.at - kept.at > 15_000
}

export type PositionState = 'asking' | 'good' | 'coarse' | 'denied' | 'off'

export function usePosition() {
  const fix = shallowRef<Fix>()
  const failure = ref<'denied' | 'off'>()
  const now = ref(Date.now())
  let watching: number | undefined
  const clock = setInterval(() => (now.value = Date.now()), 5_000)

  const state = computed<PositionState>(() => {
    if (failure.value && !fix.value) return failure.value
    if (!fix.value) return 'asking'
    if (failure.value && now.value - fix.value.at > staleMs) return failure.value
    return fix.value.accuracy_m > coarseFromM ? 'coarse' : 'good'
  })

  function start(): void {
    stop()
    failure.value = undefined
    if (!('geolocation' in navigator)) {
      failure.value = 'off'
      return
    }
    watching = navigator.geolocation.watchPosition(
      ({ coords, timestamp }) => {
        failure.value = undefined
        const fresh = { lon: coords.longitude, lat: coords.latitude, accuracy_m: coords.accuracy, at: timestamp }
        if (better(fix.value, fresh)) fix.value = fresh
      },
      (error) => (failure.value = error.code === error.PERMISSION_DENIED ? 'denied' : 'off'),
      { enableHighAccuracy: true, maximumAge: 5_000, timeout: 20_000 },
    )
  }

  function stop(): void {
    if (watching !== undefined) navigator.geolocation.clearWatch(watching)
    watching = undefined
  }

  onScopeDispose(() => {
    stop()
    clearInterval(clock)
  })

  return { fix, state, start, stop }
}
