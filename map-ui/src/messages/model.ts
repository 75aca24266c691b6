/** Messages as the server sends them. */
export interface Message {
  id: string
  kind: string
  case_id?: string | null
  case_number?: string | null
  text: string
  title?: string | null
  created_at: string
  read_at?: string | null
  from?: { id: string; name: string } | string | null
  task_id?: string | null
}
