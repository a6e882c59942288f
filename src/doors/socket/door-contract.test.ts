import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { remoteDesk } from '#client'
import { leave } from '../../../test/leave.ts'
import { doorContract } from '../../testing/door-contract.ts'
import { httpDoor } from '../http/door.ts'
import { socketFetch } from './fetch.ts'
import { listenSocket } from './listen.ts'

doorContract('the socket', async (broker, caller) => {
  const folder = await mkdtemp(join(tmpdir(), 'valetkey-'))
  const path = join(folder, 'run', 's')
  const door = httpDoor({
    version: '0.0.0',
    desk: broker.as,
    keeper: broker.keeper,
    identify: async (_, env) => env.caller,
  })
  const listening = await listenSocket({ path, door, identifyPeer: () => caller })
  return {
    ...remoteDesk({ base: 'http://valetkey', fetch: socketFetch(path) }),
    async close() {
      await listening.close()
      await leave(folder)
    },
  }
})
