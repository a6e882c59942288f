import { fork } from 'node:child_process'
import { once } from 'node:events'
import { get } from 'node:http'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import type { ProviderFile } from '../../src/model/provider.ts'
import type { Counts } from '../../src/practice/counts.ts'
import { openPractice } from '../../src/practice/practice.ts'
import { practiceFile } from '../../src/practice/provider-file.ts'
import { type FaultProxy, faultProxy } from '../../src/testing/fault-proxy.ts'

const CHILD = fileURLToPath(new URL('./practice-child.ts', import.meta.url))

export interface LonePractice {
  readonly origin: URL
  readonly port: number
  readonly file: ProviderFile
  close(): Promise<void>
}

export interface LoneOptions {
  readonly port?: number
  /** For how many seconds a used refresh token is still taken. None by default. */
  readonly grace?: number
  readonly behind?: URL
}

/** What a practice provider did, also one of another process. Ask it where it listens itself. */
export async function countsOf({ port, origin }: Pick<LonePractice, 'port' | 'origin'>): Promise<Counts> {
  // The name that it answers to may be another one, and `fetch` would not let it be said.
  const headers = { host: origin.host }
  const [answer] = await once(get({ host: '127.0.0.1', port, path: '/practice/counts', headers }), 'response')
  return JSON.parse(await text(answer))
}

/** A practice provider in a process of its own; it outlives whoever is killed beside it. */
export async function practiceProcess(options: LoneOptions = {}): Promise<LonePractice> {
  const { behind, ...plain } = options
  const words = JSON.stringify({ ...plain, behind: behind?.href })
  const child = fork(CHILD, [words], { execArgv: [], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const [{ origin, port }] = (await once(child, 'message')) as [{ origin: string; port: number }]
  return {
    origin: new URL(origin),
    port,
    file: practiceFile(new URL(origin)),
    close: async () => {
      const gone = once(child, 'exit')
      child.kill('SIGTERM')
      if (child.exitCode === null && child.signalCode === null) await gone
    },
  }
}

export interface FaultyPractice extends LonePractice {
  readonly proxy: FaultProxy
}

/** A practice provider that is known by the address of a fault proxy before it, so that all goes through there. */
export async function practiceBehindFaults(
  options: Omit<LoneOptions, 'behind'> & { readonly now?: () => Date; readonly process?: boolean } = {},
): Promise<FaultyPractice> {
  const { process: alone = false, now, ...plain } = options
  const proxy = await faultProxy({ target: { host: '127.0.0.1', port: 1 } })
  const behind = new URL(proxy.origin)
  const practice = alone
    ? await practiceProcess({ ...plain, behind })
    : await openPractice({ ...plain, behind, ...(now && { now }) })
  proxy.aim({ host: '127.0.0.1', port: practice.port })
  return {
    origin: practice.origin,
    port: practice.port,
    file: practice.file,
    proxy,
    close: async () => {
      await proxy.close()
      await practice.close()
    },
  }
}
