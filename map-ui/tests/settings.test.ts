import { describe, expect, it } from 'vitest'
import { missingIn, rowsOf, settingForms, valueOf } from '@/admin/settingForms'
import { personColour } from '@/admin/personColour'

const values: Record<string, unknown> = {
  deadlines: {
    rules: [{ step: 'stop', days: 3 }, { step: 'review', working_days: 5, area: '350302' }],
    remind_before_hours: 4,
    escalations: [{ after_hours: 0, level: 'town' }],
  },
  holidays: { off: [{ from: '2026-10-01', to: '2026-10-07', name: '国庆节' }], worked: ['2026-09-27'] },
  message_templates: { urged: { zh: '请{name}', en: 'Please {name}' } },
  demolition_targets: [{ area: '350302', year: 2026, target_m2: 1000 }],
  duplicates: { within_m: 50, within_days: 30, same_nature: true },
  nearest_within_m: 2000,
  webhook: { url: 'https://example.org', secret: '********', kinds: ['urged'] },
  dictionaries: { use: [{ code: 'a', zh: '甲', en: 'A', retired: false }], authority: [], other: [{ code: 'kept' }] },
}

describe('forms of settings', () => {
  it.each(Object.keys(values))('put %s back as it was', (key) => {
    const parts = settingForms[key] ?? []
    const rows = parts.map((part) => rowsOf(values[key], part))
    expect(valueOf(values[key], parts, rows)).toEqual(values[key])
  })

  it('change only what was changed, and leave out what was emptied', () => {
    const parts = settingForms.deadlines ?? []
    const rows = parts.map((part) => rowsOf(values.deadlines, part))
    Object.assign(rows[0]![1]!, { area: '', working_days: null, days: 7 })
    expect(valueOf(values.deadlines, parts, rows)).toMatchObject({
      rules: [{ step: 'stop', days: 3 }, { step: 'review', days: 7 }],
    })
    // The setting itself is not touched by editing.
    expect((values.deadlines as { rules: unknown[] }).rules[1]).toMatchObject({ working_days: 5 })
  })

  it('say what is missing', () => {
    const parts = settingForms.demolition_targets ?? []
    expect(missingIn(parts, [[{ area: '350302', year: 2026, target_m2: 0 }]])).toBeUndefined()
    expect(missingIn(parts, [[{ area: '350302', year: 2026, target_m2: 1 }, { year: 2026 }]])).toEqual({ row: 2, field: 'area' })
  })
})

describe('personColour', () => {
  it('is the same for the same person, and mostly another for another', () => {
    const ids = Array.from({ length: 200 }, (_, i) => `person-${i}`)
    expect(personColour('person-7')).toBe(personColour('person-7'))
    expect(new Set(ids.map(personColour)).size).toBeGreaterThan(150)
  })
})
