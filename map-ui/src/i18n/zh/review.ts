export default {
  queue: '待审队列',
  closing: '结案审核',
  fresh: '新案审核',
  none: '没有待审案件',
  waiting: '{count} 件待审',
  one: '待审案件',
  keys: 'J/K 上下 · A 通过 · R 退回',
  notYours: '这件由您申请或不在您的权限内，须由他人审核。',
  before: '处置前',
  after: '处置后',
  photo: '第 {number} 张',
}
