// A program that has a socket made that ends with it, and then another one by that socket, and goes on.
import { remoteDesk } from '#client'
import { socketFetch } from '../../../src/doors/socket/fetch.ts'
import { wherePaths } from '../../../src/where.ts'

const grants = [{ address: 'openai', may: ['forward'] }] as const
const { desk } = remoteDesk({
  fetch: socketFetch(wherePaths({ env: process.env }).socket),
  base: 'http://valetkey',
})
const { key } = await desk.narrow({ kind: 'socket', grants, endsWithMe: true })
const own = remoteDesk({ fetch: socketFetch(key.socket ?? ''), base: 'http://valetkey' })
const child = await own.desk.narrow({ kind: 'key', grants })
process.send?.({ id: key.id, socket: key.socket, child: child.key.id })
setInterval(() => {}, 1000)
