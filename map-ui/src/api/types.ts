/**
 * Names for the shapes of the API. They are read off the paths of the generated document, so that
 * a schema renamed on the server changes nothing here.
 */
import type { paths } from './schema'

type Json<R> = R extends { content: { 'application/json': infer T } } ? T : never
type Ok<O> = O extends { responses: infer R }
  ? { [S in keyof R & (200 | 201 | 202)]: Json<R[S]> }[keyof R & (200 | 201 | 202)]
  : never
type Item<L> = L extends { items: (infer T)[] } ? T : never
type Query<O> = O extends { parameters: { query?: infer Q } } ? NonNullable<Q> : never

export type Me = Ok<paths['/api/v1/me']['get']>
export type LayerItem = Item<Ok<paths['/api/v1/layers']['get']>>
export type AreaItem = Item<Ok<paths['/api/v1/areas']['get']>>
export type LookupQuery = Query<paths['/api/v1/lookup']['get']>
export type LookupAnswer = Ok<paths['/api/v1/lookup']['get']>
export type Responsible = NonNullable<LookupAnswer['responsible']>
export type Person = NonNullable<Responsible['primary']>
export type AreaRef = NonNullable<LookupAnswer['village']>
export type Candidate = NonNullable<LookupAnswer['nearest']>
