import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Desk } from '#client'
import { socketFetch } from '../../src/doors/socket/fetch.ts'
import { openPractice } from '../../src/practice/practice.ts'
import { practiceFile } from '../../src/practice/provider-file.ts'
import { deskOver } from '../../src/reach.ts'
import { canary } from '../../src/testing/canary.ts'
import { type ListeningStandIn, standIn } from '../../src/testing/stand-in.ts'
import { wherePaths } from '../../src/where.ts'
import { connectAt } from '../faults/homes.ts'
import { BIN, type RealHome, realHome } from '../real.ts'

/** The command as it is typed in a shell. */
export const VALETKEY = `"${process.execPath}" "${BIN}"`

/** A home with one account that is forwarded and one whose token is lent, and a broker that runs. */
export interface LendingHome {
  readonly home: RealHome
  /** The owner, at their socket. */
  readonly owner: Desk
  readonly socket: string
  /** What is forwarded with at `openai`; it never dies by itself. */
  readonly key: string
  readonly openai: ListeningStandIn
  /** What is lent of `practice` at this moment. */
  token(): Promise<string>
  close(): Promise<void>
}

export async function lendingHome(): Promise<LendingHome> {
  const key = `sk-proj-${canary('revealed')}`
  const openai = await standIn({
    '*': ({ headers, path }) =>
      headers['authorization'] === `Bearer ${key}`
        ? { body: { object: 'list', data: [{ id: 'gpt-5', object: 'model' }], path } }
        : { status: 401, body: { error: { message: 'this key is not known here' } } },
  }).listen()
  const practice = await openPractice()
  const home = await realHome({ allow: [practice.origin.host], origins: { openai: openai.origin } })
  await addPractice(home, practice.origin)
  const connected = await home.run(['connect', 'openai', '--key-stdin'], `${key}\n`)
  if (connected.code !== 0) throw new Error(connected.stderr)
  const { socket } = wherePaths({ env: home.env })
  const { desk: owner } = deskOver(socketFetch(socket))
  await connectAt(owner, { origin: practice.origin } as Parameters<typeof connectAt>[1], { seconds: 3600 })
  return {
    home,
    owner,
    socket,
    key,
    openai,
    token: async () => (await owner.lend({ address: 'practice' })).token,
    async close() {
      await home.close()
      await practice.close()
      await openai.close()
    },
  }
}

async function addPractice({ home }: RealHome, origin: URL): Promise<void> {
  const file = practiceFile(origin)
  const folder = join(home, 'config', 'providers')
  await mkdir(folder, { mode: 0o700 })
  const oauth = { ...file.oauth, clientId: 'valetkey-practice' }
  await writeFile(join(folder, 'practice.json'), JSON.stringify({ ...file, oauth }), { mode: 0o600 })
}
