import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { describe, expect, it } from 'vitest'
import { userOfConnection } from './ports.ts'

describe('a connection over loopback', () => {
  it.runIf(process.platform === 'linux')('is known by its user, on both families', async () => {
    for (const host of ['127.0.0.1', '::1']) {
      const server = createServer().listen(0, host)
      await once(server, 'listening')
      const { port } = server.address() as AddressInfo
      const client = connect({ host, port })
      const [accepted] = (await once(server, 'connection')) as [import('node:net').Socket]
      expect(await userOfConnection(accepted)).toBe(process.getuid?.())
      client.destroy()
      server.close()
    }
  })

  it.runIf(process.platform === 'linux')(
    'is not mistaken for our own side of it, whatever port it comes from',
    async () => {
      const server = createServer().listen(0, '127.0.0.1')
      await once(server, 'listening')
      const { port } = server.address() as AddressInfo
      const client = connect({ host: '127.0.0.1', port, localAddress: '127.0.0.2', localPort: port })
      const [accepted] = (await once(server, 'connection')) as [import('node:net').Socket]
      expect(await userOfConnection(accepted)).toBe(process.getuid?.())
      const { remoteAddress, remotePort, localAddress, localPort } = accepted
      client.destroy()
      await once(client, 'close')
      expect(await userOfConnection({ remoteAddress, remotePort, localAddress, localPort })).toBe(-1)
      accepted.destroy()
      server.close()
    },
  )

  it.runIf(process.platform === 'linux')('that does not exist, or was let go of, is no one’s', async () => {
    const nowhere = { remoteAddress: '127.0.0.1', remotePort: 1, localAddress: '127.0.0.1', localPort: 2 }
    expect(await userOfConnection(nowhere)).toBe(-1)
    const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const client = connect({ host: '127.0.0.1', port })
    const [accepted] = (await once(server, 'connection')) as [import('node:net').Socket]
    const { remoteAddress, remotePort, localAddress, localPort } = accepted
    client.destroy()
    await once(client, 'close')
    expect(await userOfConnection({ remoteAddress, remotePort, localAddress, localPort })).toBe(-1)
    accepted.destroy()
    server.close()
  })
})
