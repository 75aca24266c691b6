/** `tus-js-client` over `fetch`: its own stack needs XMLHttpRequest, which a service worker lacks. */
import type { HttpRequest, HttpResponse, HttpStack } from 'tus-js-client'

class FetchRequest implements HttpRequest {
  private readonly headers: Record<string, string> = {}
  private readonly controller = new AbortController()
  private progress: (bytesSent: number) => void = () => undefined

  constructor(
    private readonly method: string,
    private readonly url: string,
  ) {}

  getMethod = () => this.method
  getURL = () => this.url
  getHeader = (name: string) => this.headers[name]
  getUnderlyingObject = () => this.controller
  setHeader(name: string, value: string): void {
    this.headers[name] = value
  }
  setProgressHandler(handler: (bytesSent: number) => void): void {
    this.progress = handler
  }
  async abort(): Promise<void> {
    this.controller.abort()
  }
  async send(body: unknown): Promise<HttpResponse> {
    const response = await fetch(this.url, {
      method: this.method,
      headers: this.headers,
      body: (body as BodyInit | null) ?? undefined,
      credentials: 'same-origin',
      signal: this.controller.signal,
    })
    const text = await response.text()
    if (body instanceof Blob) this.progress(body.size)
    return {
      getStatus: () => response.status,
      getHeader: (name) => response.headers.get(name) ?? undefined,
      getBody: () => text,
      getUnderlyingObject: () => response,
    }
  }
}

export class FetchStack implements HttpStack {
  createRequest(method: string, url: string): HttpRequest {
    return new FetchRequest(method, url)
  }
  getName(): string {
    return 'FetchStack'
  }
}
