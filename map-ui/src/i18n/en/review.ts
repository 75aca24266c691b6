export default {
  queue: 'Queue',
  closing: 'To close',
  fresh: 'New cases',
  none: 'Nothing to review',
  waiting: '{count} waiting',
  one: 'Case to review',
  keys: 'J/K move · A approve · R send back',
  notYours: 'You applied for this one or may not decide it: somebody else has to.',
  before: 'Before',
  after: 'After',
  photo: 'Photo {number}',
}
