/** The line between the phone and the server: a TCP proxy on this machine that can be cut. */
import { connect, createServer, type Server, type Socket } from 'node:net'

export class Line {
  private readonly server: Server
  private readonly open = new Set<Socket>()
  private down = false
  /** Bytes that still get through upstream before the line breaks. */
  private allowance = Infinity
  url = ''

  constructor(private readonly target: URL) {
    this.server = createServer((phone) => this.join(phone))
  }

  private join(phone: Socket): void {
    if (this.down) {
      phone.destroy()
      return
    }
    const service = connect(Number(this.target.port), this.target.hostname)
    for (const socket of [phone, service]) {
      this.open.add(socket)
      socket.on('error', () => socket.destroy())
      socket.on('close', () => {
        this.open.delete(socket)
        phone.destroy()
        service.destroy()
      })
    }
    phone.on('data', (data) => {
      this.allowance -= data.length
      if (this.allowance < 0) this.cut()
      else service.write(data)
    })
    service.pipe(phone)
  }

  async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve))
    const address = this.server.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    this.url = `http://127.0.0.1:${address.port}`
    return this
  }

  cut(): void {
    this.down = true
    for (const socket of this.open) socket.destroy()
  }

  mend(): void {
    this.down = false
    this.allowance = Infinity
  }

  /** Breaks in the middle of what is being sent. */
  cutAfter(bytes: number): void {
    this.allowance = bytes
  }

  async close(): Promise<void> {
    this.cut()
    await new Promise<void>((resolve) => this.server.close(() => resolve()))
  }
}
