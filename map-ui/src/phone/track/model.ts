/** A position while tracking. */
export interface TrackPoint {
  seq?: number
  person: string
  lon: number
  lat: number
  accuracy_m: number
  /** The phone's clock, ms. */
  at: number
}
