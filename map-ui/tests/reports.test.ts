import { describe, expect, it } from 'vitest'
import { columnsOf, drill, quantiles, show } from '@/reports/columns'

const row = { code: '350302', name: '城厢区', basic_farmland: 12.34, total: 20, found: 3, closed: 1, links: {} }

describe('columns', () => {
  it('of the case report stand in the officials’ order', () => {
    const columns = columnsOf('cases', { title: '', rows: [row] })
    expect(columns.map(({ key, kind }) => `${key}:${kind}`)).toEqual([
      'name:text', 'basic_farmland:area', 'total:area', 'found:count', 'closed:count',
    ])
  })

  it('of others are those of their rows', () => {
    const columns = columnsOf('success', { title: '', rows: [{ code: '1', name: 'x', closed: 2, due: 4, closing_rate: 0.5 }] })
    expect(columns.map(({ key, kind }) => `${key}:${kind}`)).toEqual(['name:text', 'closed:count', 'due:count', 'closing_rate:rate'])
  })
})

describe('drill', () => {
  const period = { from: '2026-01-01', to: '2026-03-31' }
  it('opens the cases behind a figure', () => {
    expect(drill('overdue', row, '350300', period)).toEqual({ area: '350302', ...period, overdue: 'true' })
    expect(drill('demolished', row, '', period)).toEqual({
      area: '350302', demolished_from: '2026-01-01', demolished_to: '2026-03-31',
    })
    expect(drill('found', { name: '未定位' }, '', period)).toEqual({ ...period, unplaced: 'true' })
    expect(drill('name', row, '', period)).toBeUndefined()
  })
})

describe('figures', () => {
  it('are shown as people read them', () => {
    expect(show(0.873, 'rate', 'en')).toBe('87.3 %')
    expect(show(12345.67, 'area', 'en')).toBe('12,345.7')
    expect(show(null, 'rate', 'en')).toBe('—')
  })

  it('are put into classes of equal count', () => {
    expect(quantiles([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])).toEqual([3, 5, 7, 9])
    expect(quantiles([0, 0, 4])).toEqual([4])
    expect(quantiles([])).toEqual([])
  })
})
