/** Messages as the server sends them; the text is plain. */
export interface Message {
  id: string
  kind: string
  case_id?: string | null
  task_id?: string | null
  /** Who caused it, and gets the answer to it; none where the platform did. */
  actor?: { id: string; name: string } | null
  text: string
  created_at: string
  read_at?: string | null
}
