/** Distances between positions: good to a metre over a few kilometres, for lists and boxes. */
interface Position {
  lon: number
  lat: number
}

const radius = 6_371_008.8
const radians = Math.PI / 180

/** Great-circle distance, m. */
export function metresBetween(a: Position, b: Position): number {
  const dLat = (b.lat - a.lat) * radians
  const dLon = (b.lon - a.lon) * radians
  const h =
    Math.sin(dLat / 2) ** 2 + Math.cos(a.lat * radians) * Math.cos(b.lat * radians) * Math.sin(dLon / 2) ** 2
  return 2 * radius * Math.asin(Math.min(1, Math.sqrt(h)))
}

/** West, south, east, north of a square of twice `metres` around a position. */
export function boxAround({ lon, lat }: Position, metres: number): [number, number, number, number] {
  const dLat = metres / (radius * radians)
  const dLon = dLat / Math.max(0.01, Math.cos(lat * radians))
  const round = (value: number) => Math.round(value * 1e7) / 1e7
  return [round(lon - dLon), round(lat - dLat), round(lon + dLon), round(lat + dLat)]
}
