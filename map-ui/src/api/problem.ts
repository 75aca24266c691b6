/** What a refusal tells the user (RFC 9457, `application/problem+json`). */
export interface Problem {
  status: number
  /** Stable, for programs: `crs_unknown`, `wrong_state` … */
  code: string
  title: string
  detail?: string
  errors: { field: string; detail: string }[]
}

/** A refused or failed request, thrown by {@link unwrap}. */
export class ProblemError extends Error {
  readonly problem: Problem

  constructor(problem: Problem) {
    super(problem.detail ?? problem.title)
    this.name = 'ProblemError'
    this.problem = problem
  }
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** Reads a problem from whatever the server, or a proxy before it, answered. */
export function readProblem(status: number, body: unknown): Problem {
  const fields = typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {}
  const errors = Array.isArray(fields.errors) ? (fields.errors as unknown[]) : []
  return {
    status,
    code: text(fields.code) ?? `http_${status}`,
    title: text(fields.title) ?? '',
    detail: text(fields.detail),
    errors: errors.flatMap((entry) => {
      const { field, detail } = (entry ?? {}) as Record<string, unknown>
      return text(detail) ? [{ field: text(field) ?? '', detail: text(detail) ?? '' }] : []
    }),
  }
}

/** The problem behind anything that was thrown; a failed connection is `offline`. */
export function problemOf(error: unknown): Problem {
  if (error instanceof ProblemError) return error.problem
  if (error instanceof TypeError) return { status: 0, code: 'offline', title: '', errors: [] }
  return { status: 0, code: 'unexpected', title: '', detail: String(error), errors: [] }
}
