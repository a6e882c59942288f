import { remoteDesk } from '#client'
import type { Broker } from '../../model/broker.ts'
import { THE_PERSON } from '../../model/caller.ts'
import { doorContract } from '../../testing/door-contract.ts'
import { type HttpDoor, httpDoor } from './door.ts'
import { openFront } from './front.ts'
import { frontDoor } from './front-door.ts'
import { listenTcp } from './listen.ts'

doorContract('the http door', async (broker, caller) => {
  const door = doorOver(broker)
  const fetch = (url: string | URL, init?: RequestInit) => door.fetch(new Request(url, init), { caller })
  return remoteDesk({ base: 'http://valetkey', fetch })
})

doorContract('the http door on loopback, with a cookie', async (broker, caller) => {
  const front = openFront({ now: () => new Date() })
  const { origin, close } = await listenTcp({ door: frontDoor(front, doorOver(broker)), port: 0 })
  const code = front.newLink(origin).hash.slice('#code='.length)
  const cookie = front.enter(code)?.split(';')[0] ?? ''
  const headers = caller.id === THE_PERSON ? { cookie } : { cookie, 'valetkey-as': caller.id }
  return { ...remoteDesk({ base: origin, fetch, headers }), byCookie: true, close }
})

function doorOver(broker: Broker): HttpDoor {
  return httpDoor({
    version: '0.0.0',
    desk: broker.as,
    keeper: broker.keeper,
    identify: async (_, env) => env.caller,
  })
}
