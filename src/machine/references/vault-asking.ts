import { join } from 'node:path'
import { ValetkeyError } from '#client'
import { readOwn } from '../files.ts'
import type { Surroundings } from './surroundings.ts'
import { unread } from './unread.ts'

const SECONDS = 10
const MOST_BYTES = 1024 * 1024

export interface Said {
  readonly status: number
  readonly text: string
}

export type Ask = (path: readonly string[]) => Promise<Said>

/** One question after the other, each with the token, to nobody but the Vault that the surroundings name. */
export async function asker(reference: string, { env, network }: Surroundings): Promise<Ask> {
  const { VAULT_ADDR: address, VAULT_NAMESPACE: namespace } = env
  const base = baseOf(address)
  if (base === undefined)
    throw unread(
      reference,
      'VAULT_ADDR does not say where Vault is',
      'export VAULT_ADDR=https://vault.example.com',
    )
  const token = await tokenIn(reference, env)
  const headers = {
    accept: 'application/json',
    'x-vault-request': 'true',
    'x-vault-token': token,
    ...(namespace && { 'x-vault-namespace': namespace }),
  }
  return async (path) => {
    const url = new URL(`${base}/v1/${path.map(encodeURIComponent).join('/')}`)
    const signal = AbortSignal.timeout(SECONDS * 1000)
    try {
      const answer = await network.fetch(url, { headers, signal })
      return { status: answer.status, text: await textOf(answer) }
    } catch (error) {
      throw unreached(reference, url, error)
    }
  }
}

function baseOf(address: string | undefined): string | undefined {
  const url = URL.parse(address ?? '')
  if (url === null || !/^https?:$/.test(url.protocol)) return undefined
  return url.username + url.password + url.search + url.hash === '' ? url.href.replace(/\/+$/, '') : undefined
}

async function tokenIn(reference: string, { VAULT_TOKEN: token, HOME: home }: NodeJS.ProcessEnv) {
  const kept = token || (home ? await tokenFile(reference, join(home, '.vault-token')) : undefined)
  const text = kept?.trim()
  if (text && /^[\x21-\x7e]+$/.test(text)) return text
  throw unread(reference, 'there is no token to show to Vault', 'vault login')
}

/** As the command of Vault keeps it, and nobody else's to read. */
async function tokenFile(reference: string, path: string): Promise<string | undefined> {
  const bytes = await readOwn(path).catch((error: unknown) => {
    const { message, hint } = error instanceof ValetkeyError ? error : { message: `${path} is not readable` }
    throw unread(reference, message, hint ?? `chmod 600 "${path}"`)
  })
  return bytes && new TextDecoder().decode(bytes)
}

async function textOf(answer: Response): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const piece of answer.body ?? []) {
    text += decoder.decode(piece, { stream: true })
    if (text.length > MOST_BYTES) throw new ValetkeyError('response-too-large', 'the answer is too large')
  }
  return text
}

function unreached(reference: string, { host }: URL, error: unknown): ValetkeyError {
  const known = error instanceof ValetkeyError ? error : undefined
  const why = known?.message ?? `${host} could not be reached`
  return unread(reference, why, known?.hint ?? 'vault status')
}
