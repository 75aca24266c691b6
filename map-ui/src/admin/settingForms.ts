/** How each setting is edited: which parts it has, and the columns of those that are lists. */

export type CellKind = 'text' | 'number' | 'date' | 'bool' | 'area' | 'choice' | 'long'

export interface FieldForm {
  key: string
  kind: CellKind
  choices?: readonly string[]
  /** Words of the choices: a key below `admin.setting.` or a word kind. */
  words?: 'step' | 'nature' | 'level' | 'kind'
  required?: boolean
  width?: number
}

export interface PartForm {
  /** Path in the value; empty for the value itself. */
  path: string
  /** A table of records, a map from a name to a record, a list of bare values, or one value. */
  kind: 'list' | 'map' | 'values' | 'one'
  fields: FieldForm[]
}

const steps = ['first_visit', 'stop', 'application', 'demolition', 'review', 'rework'] as const
const kinds = [
  'dispatched', 'dispatched_leaders', 'reassigned', 'transferred', 'sent_back', 'review_due', 'urged', 'supervised',
  'deadline_near', 'overdue', 'escalated', 'closed', 'reopened', 'alarm', 'duty_gap', 'task_given', 'task_reported',
  'task_closed', 'reply', 'public_report', 'report_ready', 'comment',
] as const
const one = (key: string, kind: CellKind, more: Partial<FieldForm> = {}): PartForm => ({
  path: key, kind: 'one', fields: [{ key, kind, ...more }],
})
const entries: FieldForm[] = [
  { key: 'code', kind: 'text', required: true },
  { key: 'zh', kind: 'text', required: true },
  { key: 'en', kind: 'text', required: true },
  { key: 'retired', kind: 'bool' },
]

/** In the order of the page. */
export const settingForms: Record<string, PartForm[]> = {
  deadlines: [
    {
      path: 'rules',
      kind: 'list',
      fields: [
        { key: 'step', kind: 'choice', choices: steps, words: 'step', required: true },
        { key: 'area', kind: 'area' },
        { key: 'nature', kind: 'choice', choices: ['illegal_land_use', 'illegal_construction', 'both'], words: 'nature' },
        { key: 'hours', kind: 'number' },
        { key: 'days', kind: 'number' },
        { key: 'working_days', kind: 'number' },
      ],
    },
    one('remind_before_hours', 'number'),
    {
      path: 'escalations',
      kind: 'list',
      fields: [
        { key: 'after_hours', kind: 'number', required: true },
        { key: 'level', kind: 'choice', choices: ['village', 'town', 'functional_area', 'district', 'city'], words: 'level', required: true },
      ],
    },
  ],
  holidays: [
    {
      path: 'off',
      kind: 'list',
      fields: [
        { key: 'from', kind: 'date', required: true },
        { key: 'to', kind: 'date', required: true },
        { key: 'name', kind: 'text', required: true },
      ],
    },
    { path: 'worked', kind: 'values', fields: [{ key: 'worked', kind: 'date' }] },
  ],
  dictionaries: [
    { path: 'use', kind: 'list', fields: entries },
    { path: 'authority', kind: 'list', fields: entries },
  ],
  message_templates: [
    {
      path: '',
      kind: 'map',
      fields: [
        { key: 'key', kind: 'choice', choices: kinds, words: 'kind', required: true, width: 180 },
        { key: 'zh', kind: 'long', required: true },
        { key: 'en', kind: 'long', required: true },
      ],
    },
  ],
  standing_recipients: [
    {
      path: '',
      kind: 'list',
      fields: [
        { key: 'kind', kind: 'choice', choices: kinds, words: 'kind', required: true },
        { key: 'area', kind: 'area', required: true },
        { key: 'person', kind: 'text' },
        { key: 'department', kind: 'text' },
      ],
    },
  ],
  demolition_targets: [
    {
      path: '',
      kind: 'list',
      fields: [
        { key: 'area', kind: 'area', required: true },
        { key: 'year', kind: 'number', required: true },
        { key: 'target_m2', kind: 'number', required: true },
      ],
    },
  ],
  criminal_thresholds: [
    {
      path: '',
      kind: 'list',
      fields: [
        { key: 'from', kind: 'date', required: true },
        { key: 'to', kind: 'date' },
        { key: 'basic_farmland_m2', kind: 'number', required: true },
        { key: 'cultivated_m2', kind: 'number', required: true },
      ],
    },
  ],
  occupation_ratio: [
    one('answerable_from', 'number'),
    {
      path: 'taken_by_construction',
      kind: 'list',
      fields: [
        { key: 'area', kind: 'area', required: true },
        { key: 'year', kind: 'number', required: true },
        { key: 'cultivated_m2', kind: 'number', required: true },
      ],
    },
  ],
  duplicates: [one('within_m', 'number'), one('within_days', 'number'), one('same_nature', 'bool')],
  nearest_within_m: [{ path: '', kind: 'one', fields: [{ key: 'nearest_within_m', kind: 'number' }] }],
  webhook: [
    one('url', 'text'),
    one('secret', 'text'),
    { path: 'kinds', kind: 'values', fields: [{ key: 'kinds', kind: 'choice', choices: kinds, words: 'kind' }] },
  ],
}

export type FormRow = Record<string, unknown>

const clone = (value: unknown): unknown => (value === undefined ? undefined : JSON.parse(JSON.stringify(value)))
const at = (value: unknown, path: string): unknown =>
  path === '' ? value : (value as Record<string, unknown> | null | undefined)?.[path]

/** A part of a setting as rows of a form. */
export function rowsOf(value: unknown, part: PartForm): FormRow[] {
  const own = clone(at(value, part.path))
  const key = part.fields[0]?.key ?? ''
  switch (part.kind) {
    case 'list':
      return Array.isArray(own) ? (own as FormRow[]) : []
    case 'map':
      return Object.entries((own as Record<string, FormRow> | null) ?? {}).map(([name, fields]) => ({ key: name, ...fields }))
    case 'values':
      return Array.isArray(own) ? own.map((one) => ({ [key]: one as unknown })) : []
    case 'one':
      return [{ [key]: own }]
  }
}

/** Leaves out what is empty; `null` and an empty text mean the same: not set. */
function tidy(row: FormRow): FormRow {
  return Object.fromEntries(Object.entries(row).filter(([, value]) => value !== '' && value !== null && value !== undefined))
}

/** The rows put back into the setting. Parts without a form keep what they were. */
export function valueOf(before: unknown, parts: readonly PartForm[], rows: readonly FormRow[][]): unknown {
  let whole = clone(before)
  parts.forEach((part, index) => {
    const own = rows[index] ?? []
    const key = part.fields[0]?.key ?? ''
    let value: unknown
    if (part.kind === 'list') value = own.map(tidy)
    else if (part.kind === 'values') value = own.map((row) => row[key]).filter((one) => one !== '' && one !== null && one !== undefined)
    else if (part.kind === 'one') value = own[0]?.[key] === '' ? null : (own[0]?.[key] ?? null)
    else {
      value = Object.fromEntries(
        own.flatMap(({ key: name, ...fields }) => (typeof name === 'string' && name ? [[name, tidy(fields)]] : [])),
      )
    }
    if (part.path === '') whole = value
    else whole = { ...(whole as Record<string, unknown>), [part.path]: value }
  })
  return whole
}

/** The first required field that is empty: part, row (from 1) and field. */
export function missingIn(parts: readonly PartForm[], rows: readonly FormRow[][]): { row: number; field: string } | undefined {
  for (const [index, part] of parts.entries()) {
    for (const [number, row] of (rows[index] ?? []).entries()) {
      for (const { key, required } of part.fields) {
        const value = row[key]
        if (required && (value === undefined || value === null || value === '')) return { row: number + 1, field: key }
      }
    }
  }
  return undefined
}
