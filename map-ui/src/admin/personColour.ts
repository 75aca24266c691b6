/** The same colour for the same person every time, well spread over the hues. */
export function personColour(id: string): string {
  let hash = 2166136261
  for (const letter of id) hash = Math.imul(hash ^ (letter.codePointAt(0) ?? 0), 16777619) >>> 0
  const hue = hash % 360
  const lightness = 42 + ((hash >>> 9) % 4) * 7
  return `hsl(${hue}, 55%, ${lightness}%)`
}
