/** Words for refusals whose reason only this side knows; the server words all others. */
export default {
  offline: 'The server cannot be reached. Check the connection and try again',
  unexpected: 'Something went wrong on this page. Reload it and try again',
  unexplained: 'The request did not succeed ({status})',
  http_502: 'The server is away for the moment. Please try again later',
  http_503: 'The server is away for the moment. Please try again later',
  http_504: 'The server does not answer for the moment. Please try again later',
  photo_gone: 'The photo is no longer on the phone and cannot be sent',
}
