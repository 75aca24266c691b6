import { describe, expect, it } from 'vitest'
import { behind, quantiles, show } from '@/reports/columns'

const row = {
  code: '350302',
  name: '城厢区',
  overdue: 2,
  lists: {
    overdue: { path: '/api/v1/cases', query: 'area=350302&overdue=true&from=2026-01-01&evil=1', count: 2 },
    found: { path: '/api/v1/cases', query: 'area=350302', count: 0 },
    visits: { path: '/api/v1/patrol/visits', query: 'area=350302', count: 7 },
  },
}

describe('behind a figure', () => {
  it('stands the list that the server names, with the filters we know', () => {
    expect(behind(row, 'overdue')).toEqual({
      name: 'cases', query: { area: '350302', overdue: 'true', from: '2026-01-01' },
    })
  })

  it('stands nothing where there are no cases, or another list', () => {
    expect(behind(row, 'found')).toBeUndefined()
    expect(behind(row, 'visits')).toBeUndefined()
    expect(behind({ name: 'x' }, 'found')).toBeUndefined()
  })
})

describe('figures', () => {
  it('are shown as people read them', () => {
    expect(show(0.873, 'rate', 'en')).toBe('87.3 %')
    expect(show(12345.67, 'area', 'en')).toBe('12,345.7')
    expect(show(3, 'change', 'en')).toBe('+3')
    expect(show(null, 'rate', 'en')).toBe('—')
  })

  it('are put into classes of equal count', () => {
    expect(quantiles([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])).toEqual([3, 5, 7, 9])
    expect(quantiles([0, 0, 4])).toEqual([4])
    expect(quantiles([])).toEqual([])
  })
})
