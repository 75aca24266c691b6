import app from './app'
import imports from './imports'
import land from './land'
import lookup from './lookup'
import map from './map'
import problem from './problem'
import session from './session'
import type { Messages } from '..'

const messages: Messages = { app, imports, land, lookup, map, problem, session }
export default messages
