/** Words for refusals whose reason only this side knows; the server words all others. */
export default {
  offline: '连接不上服务器，请检查网络后重试',
  unexpected: '页面出错，请刷新后重试',
  unexplained: '请求没有成功（{status}）',
  http_502: '服务器暂时不可用，请稍后再试',
  http_503: '服务器暂时不可用，请稍后再试',
  http_504: '服务器暂时没有响应，请稍后再试',
  photo_gone: '照片已不在手机上，无法发送',
}
