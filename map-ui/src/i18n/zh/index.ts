import app from './app'
import imports from './imports'
import land from './land'
import lookup from './lookup'
import map from './map'
import problem from './problem'
import session from './session'


export default { app, imports, land, lookup, map, problem, session }
