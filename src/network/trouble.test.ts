import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { canary } from '../testing/canary.ts'
import { openNetwork } from './network.ts'

const ends: Array<() => unknown> = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

/** A server on loopback that does with each connection, once a request is there, what it is told. */
async function server(play: (socket: Socket) => void, onConnection: (socket: Socket) => void = () => {}) {
  const sockets = new Set<Socket>()
  let requests = 0
  const listener = createServer((socket) => {
    sockets.add(socket.on('error', () => {}))
    onConnection(socket)
    socket.on('data', () => {
      requests += 1
      play(socket)
    })
  }).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const host = `127.0.0.1:${(listener.address() as AddressInfo).port}`
  const network = openNetwork({ allow: [host, `https://${host}`], connectSeconds: 2 })
  ends.push(
    () => listener.close(),
    () => sockets.forEach((socket) => void socket.destroy()),
    () => network.close(),
  )
  const post = (scheme = 'http') =>
    network
      .fetch(new URL(`${scheme}://${host}/token`), { method: 'POST', body: canary('sent') })
      .then((answer) => answer.text())
  return { post, requests: () => requests }
}

const HEAD = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n'
const whole = (body: string) => `${HEAD}content-length: ${body.length}\r\n\r\n${body}`

describe('an answer that may have been lost', () => {
  it.each<[string, (socket: Socket) => void]>([
    ['the connection ends before it', (socket) => socket.end()],
    ['the connection is reset before it', (socket) => socket.resetAndDestroy()],
    ['it breaks off in its head', (socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-le')],
    ['it is shorter than it says', (socket) => socket.end(`${HEAD}content-length: 99\r\n\r\n{"a":1}`)],
    [
      'it is reset in the middle',
      (socket) => {
        socket.write(`${HEAD}content-length: 99\r\n\r\n{"a":1}`, () => socket.resetAndDestroy())
      },
    ],
    [
      'its last piece is missing',
      (socket) => socket.end(`${HEAD}transfer-encoding: chunked\r\n\r\n3\r\n{"a`),
    ],
    ['it is no HTTP', (socket) => socket.end('nonsense\r\n\r\n')],
  ])('is told apart where %s, and the request is not sent again', async (_, play) => {
    const { post, requests } = await server(play)
    await expect(post()).rejects.toMatchObject({ code: 'answer-lost', retryable: true })
    expect(requests()).toBe(1)
  })

  it('is told apart on a connection that was used before', async () => {
    const answers = [whole('{}')]
    const { post, requests } = await server((socket) => {
      const answer = answers.shift()
      if (answer === undefined) socket.destroy()
      else socket.write(answer)
    })
    expect(await post()).toBe('{}')
    await expect(post()).rejects.toMatchObject({ code: 'answer-lost' })
    expect(requests()).toBe(2)
  })
})

describe('a request that never got there', () => {
  it('is told apart where nobody listens', async () => {
    const listener = createServer().listen(0, '127.0.0.1')
    await once(listener, 'listening')
    const host = `127.0.0.1:${(listener.address() as AddressInfo).port}`
    listener.close()
    await once(listener, 'close')
    const network = openNetwork({ allow: [host] })
    ends.push(() => network.close())
    await expect(network.fetch(new URL(`http://${host}/`))).rejects.toMatchObject({ code: 'network-error' })
  })

  it.each<[string, (socket: Socket) => void]>([
    ['is reset', (socket) => socket.resetAndDestroy()],
    ['is ended', (socket) => socket.end()],
    ['is answered with something else', (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')],
  ])('is told apart where the handshake of TLS %s', async (_, play) => {
    const { post } = await server(play)
    await expect(post('https')).rejects.toMatchObject({ code: 'network-error', retryable: true })
  })

  it('is told apart where the connection is reset at once', async () => {
    const { post } = await server(
      () => {},
      (socket) => socket.resetAndDestroy(),
    )
    await expect(post('https')).rejects.toMatchObject({ code: 'network-error' })
  })
})
