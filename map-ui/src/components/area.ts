/** Areas as officials read them: m² and 亩 (mu), 1 mu = 2000/3 m². */
const squareMetresPerMu = 2000 / 3

export function toMu(squareMetres: number): number {
  return squareMetres / squareMetresPerMu
}

/** `8,123.4 m² (12.19 亩)`; square kilometres from a million m². */
export function formatArea(squareMetres: number, locale: string): string {
  const number = (value: number, digits: number) =>
    value.toLocaleString(locale, { maximumFractionDigits: digits })
  const mu = `${number(toMu(squareMetres), 2)} ${locale.startsWith('zh') ? '亩' : 'mu'}`
  const metric =
    squareMetres >= 1e6 ? `${number(squareMetres / 1e6, 3)} km²` : `${number(squareMetres, 1)} m²`
  return `${metric} (${mu})`
}

/** `42.2 m`, `1.23 km`. */
export function formatDistance(metres: number, locale: string): string {
  const number = (value: number, digits: number) =>
    value.toLocaleString(locale, { maximumFractionDigits: digits })
  return metres >= 1000 ? `${number(metres / 1000, 2)} km` : `${number(metres, 1)} m`
}
