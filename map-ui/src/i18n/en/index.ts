import type { Messages } from '..'
import admin from './admin'
import app from './app'
import cases from './cases'
import dispatch from './dispatch'
import help from './help'
import imports from './imports'
import land from './land'
import leader from './leader'
import lookup from './lookup'
import map from './map'
import messages from './messages'
import phone from './phone'
import planner from './planner'
import problem from './problem'
import profile from './profile'
import publicReport from './public'
import reports from './reports'
import review from './review'
import session from './session'

const all: Messages = {
  admin,
  app,
  cases,
  dispatch,
  help,
  imports,
  land,
  leader,
  lookup,
  map,
  messages,
  phone,
  planner,
  problem,
  profile,
  public: publicReport,
  reports,
  review,
  session,
}

export default all
