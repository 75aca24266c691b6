/** Sends the files of an import. By XMLHttpRequest: `fetch` tells no progress of what it sends. */
import { commonHeaders, sessionLost } from '@/api/client'
import { ProblemError, readProblem } from '@/api/problem'
import type { ImportReport } from '@/api/imports'

/** What may be said about the files; an empty field is left to the server to find out. */
export interface ImportChoices {
  layer: string
  source_layer: string
  crs: string
  encoding: string
  code_field: string
  name_field: string
  class_field: string
  parent_field: string
  area: string
  where: string
}

export function noChoices(): ImportChoices {
  return {
    layer: '',
    source_layer: '',
    crs: '',
    encoding: '',
    code_field: '',
    name_field: '',
    class_field: '',
    parent_field: '',
    area: '',
    where: '',
  }
}

/** The form the server reads: the choices first, so that it knows them before the files. */
export function importForm(files: readonly File[], choices: ImportChoices): FormData {
  const form = new FormData()
  for (const [name, value] of Object.entries(choices)) {
    const text = String(value).trim()
    if (text) form.append(name, text)
  }
  for (const file of files) form.append('file', file, file.name)
  return form
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Uploads and resolves to the import as it begins; `progress` is told the part sent, 0 to 1. */
export function upload(form: FormData, progress: (part: number) => void): Promise<ImportReport> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest()
    request.open('POST', '/api/v1/imports')
    for (const [name, value] of Object.entries(commonHeaders())) request.setRequestHeader(name, value)
    request.upload.onprogress = ({ loaded, total }) => progress(total > 0 ? loaded / total : 0)
    request.onerror = () => reject(new TypeError('network'))
    request.onload = () => {
      const body = parse(request.responseText)
      if (request.status === 401) sessionLost()
      if (request.status >= 200 && request.status < 300) resolve(body as ImportReport)
      else reject(new ProblemError(readProblem(request.status, body)))
    }
    request.send(form)
  })
}
