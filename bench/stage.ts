import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { RemoteDesk } from '#client'
import { socketFetch } from '../src/doors/socket/fetch.ts'
import { deskOver } from '../src/reach.ts'
import { wherePaths } from '../src/where.ts'
import { connectAt } from '../test/faults/homes.ts'
import { practiceProcess } from '../test/faults/practice.ts'
import { configure, realHome, until } from '../test/real.ts'

/** Everything that is measured, each in a process of its own; whoever measures is another one. */
export interface Stage {
  readonly desk: RemoteDesk['desk']
  /** The owner's socket. */
  readonly socket: string
  /** Where the bare framed echo listens. */
  readonly echo: string
  /** Where the bare `undici.stream` proxy listens, in front of the same upstream. */
  readonly proxy: string
  readonly upstream: number
  close(): Promise<void>
}

const KEY = `sk-proj-${'0'.repeat(48)}`
const child = (name: string) => fileURLToPath(new URL(`./children/${name}.ts`, import.meta.url))

export async function openStage(nodeOptions: readonly string[] = []): Promise<Stage> {
  const folder = await mkdtemp(join(tmpdir(), 'valetkey-'))
  const children: ChildProcess[] = []
  async function beside(name: string, ...words: string[]): Promise<unknown> {
    const started = fork(child(name), words, { execArgv: [], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    children.push(started)
    const [told] = await once(started, 'message')
    return told
  }

  const [echo, proxy] = [join(folder, 'echo'), join(folder, 'proxy')]
  const upstream = Number(await beside('upstream'))
  const origin = `http://127.0.0.1:${upstream}`
  await beside('echo', echo)
  await beside('proxy', proxy, origin)
  const practice = await practiceProcess()
  const home = await realHome()
  await configure(home.home, { allow: [practice.origin.host], origins: { openai: origin } })
  const providers = join(home.home, 'config', 'providers')
  const file = { ...practice.file, oauth: { ...practice.file.oauth, clientId: 'valetkey-practice' } }
  await mkdir(providers, { mode: 0o700 })
  await writeFile(join(providers, 'practice.json'), JSON.stringify(file), { mode: 0o600 })
  home.start(['serve', '--no-page'], { nodeOptions })
  await until(home.holder)
  const socket = wherePaths(home).socket
  const { desk } = deskOver(socketFetch(socket))
  await connectAt(desk, practice, { seconds: 3600 })
  await home.run(['connect', 'openai', '--key-stdin'], KEY)

  return {
    desk,
    socket,
    echo,
    proxy,
    upstream,
    async close() {
      await home.close()
      await practice.close()
      for (const one of children) one.disconnect()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
