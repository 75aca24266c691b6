import { describe, expect, it } from 'vitest'
import { readAnswer, readList } from '@/dispatch/points'

describe('readList', () => {
  it('finds the columns of a table by their names', () => {
    expect(readList('\ufeff编号,经度,纬度\r\n甲,119.0,25.4\r\n乙,,25.5\r\n')).toEqual({
      csv: '编号,经度,纬度\r\n甲,119.0,25.4\r\n乙,,25.5', lon: '经度', lat: '纬度', rows: 2, unread: [2], metres: false,
    })
  })

  it('takes tabs, as a spreadsheet pastes them, and metres', () => {
    const read = readList('no\tx\ty\n1\t399400.84\t2814064.89')
    expect(read).toMatchObject({ lon: 'x', lat: 'y', rows: 1, unread: [], metres: true })
  })

  it('takes lines with two numbers each, in any notation', () => {
    const read = readList('119.0078, 25.4540\n\n25.43 119.0\nnowhere')
    expect(read).toMatchObject({ rows: 3, unread: [3] })
    if (typeof read === 'string') return
    expect(readAnswer(read.csv).rows[1]).toMatchObject({ input: '25.43 119.0', lon: '119', lat: '25.43' })
  })

  it('keeps quoted cells whole', () => {
    const read = readList('name,lon,lat\n"a, ""b""",119,25')
    if (typeof read === 'string') throw new Error(read)
    expect(readAnswer(read.csv).rows[0]?.name).toBe('a, "b"')
  })

  it('refuses what holds no positions', () => {
    expect(readList('  ')).toBe('empty')
    expect(readList('name,phone\n张三,100')).toBe('columns')
  })
})
