import type { ChildProcess } from 'node:child_process'
import { type Account, type RemoteDesk, ValetkeyError } from '#client'
import { socketFetch } from '../../src/doors/socket/fetch.ts'
import { deskOver } from '../../src/reach.ts'
import { wherePaths } from '../../src/where.ts'
import { kill, type RealHome, until } from '../real.ts'
import { connectAt, practiceHome } from './homes.ts'
import { type FaultyPractice, practiceBehindFaults } from './practice.ts'

export const TOKEN = 'POST /token'
const AT_ONCE = 10

/** A practice provider behind faults, and a broker that can be killed and started again. */
export interface Stage {
  readonly practice: FaultyPractice
  readonly home: RealHome
  readonly desk: RemoteDesk['desk']
  /** How often the token endpoint was asked. */
  tokenCalls(): number
  start(): Promise<void>
  kill(): Promise<void>
  /** So many accounts of Alice's, by their addresses. */
  connectMany(count: number): Promise<readonly string[]>
  isLent(address: string): Promise<boolean>
  /** How all of them stand, once they stand so. */
  accountsOnce(so: (all: readonly Account[]) => boolean, seconds?: number): Promise<readonly Account[]>
  close(): Promise<void>
}

/** `grace`: for how many seconds a used refresh token is still taken; none where the provider is strict. */
export async function openStage(grace: number): Promise<Stage> {
  const practice = await practiceBehindFaults({ process: true, grace })
  const home = await practiceHome(practice)
  const { desk } = deskOver(socketFetch(wherePaths(home).socket))
  let broker: ChildProcess

  async function start(): Promise<void> {
    broker = home.start(['serve', '--no-page'])
    await until(home.holder)
  }

  async function connectMany(count: number): Promise<readonly string[]> {
    const buckets = Array.from({ length: count }, (_, n) => `n${n}`)
    const connected = buckets.map((bucket) => `practice/${bucket}`)
    for (let at = 0; at < count; at += AT_ONCE)
      await Promise.all(
        buckets.slice(at, at + AT_ONCE).map((bucket) => connectAt(desk, practice, { bucket, seconds: 3600 })),
      )
    return connected
  }

  await start()
  return {
    practice,
    home,
    desk,
    tokenCalls: () => practice.proxy.requests.filter((one) => one === TOKEN).length,
    start,
    kill: () => kill(broker.pid ?? 0),
    connectMany,
    isLent: (address) => desk.lend({ address }).then(({ token }) => token !== '', refused),
    accountsOnce: (so, seconds = 60) =>
      until(async () => {
        const all = await desk.accounts()
        return so(all) ? all : undefined
      }, seconds),
    close: async () => {
      await home.close()
      await practice.close()
    },
  }
}

function refused(error: unknown): boolean {
  if (error instanceof ValetkeyError) return false
  throw error
}
