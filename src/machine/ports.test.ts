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
      expect(await userOfConnection(accepted.remotePort ?? 0, port)).toBe(process.getuid?.())
      client.destroy()
      server.close()
    }
  })

  it('that does not exist is nobody’s', async () => {
    expect(await userOfConnection(1, 2)).toBeUndefined()
  })
})
