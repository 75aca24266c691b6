import { describe, expect, it } from 'vitest'
import type { Attachment, CaseEvent } from '@/api/cases'
import { isOverdue, placeName } from '@/api/cases'
import { newId } from '@/api/id'
import { queryText } from '@/api/call'
import { fieldsOf, inOrder, isNeeded } from '@/cases/actions'
import { beforeAfter, photoSteps } from '@/cases/photos'
import { relative } from '@/components/moment'
import { firstDay, lastDay, lastMonths, step, windowOf } from '@/leader/months'
import { noFilters, readFilters, tileQuery, written } from '@/map/filters'
import { homesOf, mayLead, mayReview } from '@/session/roles'

describe('filters in the address', () => {
  it('come back as they were written', () => {
    const filters = { ...noFilters(), status: ['on_site', 'stopped'], area: '350302', overdue: 'true', q: '张, 三' }
    expect(readFilters(written(filters))).toEqual(filters)
  })

  it('pass over what is no filter of ours, and never nest', () => {
    expect(readFilters({ view: 'x', status: ['a', 'b'], area: null })).toEqual(noFilters())
  })

  it('give tiles only what tiles know', () => {
    expect(tileQuery({ ...noFilters(), overdue: 'true', q: 'x', nature: ['both'] })).toBe('?nature=both')
  })
})

describe('months', () => {
  it('end with the present month in Shanghai', () => {
    expect(lastMonths(3, new Date('2026-12-31T17:00:00Z'))).toEqual(['2026-11', '2026-12', '2027-01'])
    expect(lastMonths(13, new Date('2026-06-15T00:00:00Z'))[0]).toBe('2025-06')
  })

  it('know their days', () => {
    expect([firstDay('2024-02'), lastDay('2024-02'), lastDay('2026-02'), lastDay('2026-12')]).toEqual([
      '2024-02-01', '2024-02-29', '2026-02-28', '2026-12-31',
    ])
  })

  it('play to the end and begin again with the same width', () => {
    expect(step([0, 2], 5)).toEqual([1, 3])
    expect(step([2, 4], 5)).toEqual([0, 2])
    expect(windowOf('2026-01-01', '2026-02-28', ['2026-01', '2026-02'])).toEqual([0, 1])
    expect(windowOf('2020-01-01', '2026-02-28', ['2026-01', '2026-02'])).toBeUndefined()
  })
})

describe('steps of a case', () => {
  const offer = (action: string, needs: string[] = []) => ({ action, needs, lacks: [] })

  it('stand in the order people look for them, unknown ones last', () => {
    const offered = inOrder([offer('comment'), offer('new_one'), offer('urge'), offer('approve_close')])
    expect(offered.map(({ action }) => action)).toEqual(['approve_close', 'urge', 'comment', 'new_one'])
  })

  it('ask what they need, and for what may come with them', () => {
    expect(fieldsOf(offer('reassign', ['to_user', 'reason']))).toEqual(['to_user', 'deadline', 'reason', 'text'])
    expect(fieldsOf(offer('transfer', ['reason']))).toEqual(['authority', 'reason', 'text'])
    expect(fieldsOf(offer('urge'))).toEqual(['text'])
  })

  it('need the demolished area only where something was demolished', () => {
    const apply = offer('apply_close', ['outcome', 'demolished_if_so'])
    expect(fieldsOf(apply)).toEqual(['outcome', 'demolished_m2', 'text'])
    expect(isNeeded(apply, 'demolished_m2', 'stopped')).toBe(false)
    expect(isNeeded(apply, 'demolished_m2', 'demolished')).toBe(true)
    expect(isNeeded(offer('record_demolition', ['demolished_m2']), 'demolished_m2', '')).toBe(true)
  })
})

describe('photos', () => {
  const photo = (id: string, uploaded_at: string): Attachment => ({ id, media_type: 'image/jpeg', uploaded_at })
  const event = (seq: number, action: string, at: string, attachments: string[]): CaseEvent => ({
    seq, id: String(seq), action, at, attachments,
  })

  it('stand before or after by the step they came with', () => {
    const steps = photoSteps(
      [photo('c', '2026-03-01T00:00:00Z'), photo('a', '2026-01-01T00:00:00Z'), photo('b', '2026-02-01T00:00:00Z')],
      [
        event(1, 'report', '2026-01-01T00:00:00Z', ['a']),
        event(2, 'patrol_record', '2026-02-01T00:00:00Z', ['b']),
        event(3, 'recheck', '2026-03-01T00:00:00Z', ['c']),
      ],
    )
    expect(steps.map(({ attachment }) => attachment.id)).toEqual(['a', 'b', 'c'])
    const { before, after } = beforeAfter(steps)
    expect(before.map(({ attachment }) => attachment.id)).toEqual(['a', 'b'])
    expect(after.map(({ attachment }) => attachment.id)).toEqual(['c'])
  })
})

describe('small things', () => {
  it('cases are overdue only while open', () => {
    const due_at = '2026-01-01T00:00:00Z'
    const now = Date.parse('2026-01-02T00:00:00Z')
    expect(isOverdue({ status: 'on_site', due_at }, now)).toBe(true)
    expect(isOverdue({ status: 'closed', due_at }, now)).toBe(false)
    expect(isOverdue({ status: 'on_site', due_at: null }, now)).toBe(false)
  })

  it('a place is named by the functional area where there is one', () => {
    const district = { code: '1', name: '秀屿区' }
    const functional_areas = [{ code: '2', name: '北岸' }]
    expect(placeName({ place: { district, functional_areas, town: { code: '3', name: '东埔镇' } } })).toBe('北岸 东埔镇')
    expect(placeName({ place: null })).toBe('')
  })

  it('times are told in the largest unit', () => {
    const now = Date.parse('2026-01-10T00:00:00Z')
    expect(relative('2026-01-08T00:00:00Z', 'en', now)).toBe('2 days ago')
    expect(relative('2026-01-10T05:30:00Z', 'en', now)).toBe('in 5 hours')
    expect(relative('nonsense', 'en', now)).toBe('')
  })

  it('queries leave out what is empty', () => {
    expect(queryText({ a: 1, b: '', c: undefined, d: ['x', 'y'], e: false })).toBe('?a=1&d=x%2Cy&e=false')
    expect(queryText()).toBe('')
  })

  it('ids are of version 4 also without a secure context', () => {
    const known = crypto.randomUUID.bind(crypto)
    Object.defineProperty(crypto, 'randomUUID', { value: undefined, configurable: true })
    const made = newId()
    Object.defineProperty(crypto, 'randomUUID', { value: known, configurable: true })
    expect(made).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  })

  it('roles find their home', () => {
    expect(homesOf('town_leader')[0]).toBe('leader')
    expect(homesOf(undefined)).toEqual(['map'])
    expect([mayLead('patroller'), mayReview('reviewer'), mayReview(undefined)]).toEqual([false, true, false])
  })
})
