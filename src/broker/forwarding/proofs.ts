import { Readable } from 'node:stream'
import type { Credential } from '../../model/credential.ts'
import type { Presentation } from '../../model/provider.ts'
import type { Header } from '../../protocol/presentation.ts'
import { heed, isProved, needsBody, prove } from '../../protocol/proving.ts'
import type { Kit } from '../kit.ts'
import type { Coming } from './coming.ts'
import type { Body } from './kept-body.ts'

/** What depends on the very request, and so is made anew for each time that it is sent. */
export interface Proofs {
  /** All of the body has to be there first. */
  readonly needsBody: boolean
  prove(body: Body): Promise<readonly Header[]>
  /** True where the same request is welcome once more, with another proof. */
  heed(answer: Coming): Promise<boolean>
}

interface Dressing {
  readonly method: string
  readonly url: URL
  /** The same at the provider itself. */
  readonly at: () => URL
  readonly headers: Readonly<Record<string, string>>
}

/** Undefined for what all requests wear alike. */
export function proofsOf(
  { now }: Kit,
  present: readonly Presentation[],
  credential: Credential,
  dressing: Dressing,
): Proofs | undefined {
  if (!isProved(present, credential)) return undefined
  const { url } = dressing
  const at = dressing.at()
  return {
    needsBody: needsBody(present, at),
    prove: (body) =>
      prove(present, credential, { ...dressing, at, ...(body instanceof Readable ? {} : { body }) }, { now }),
    heed: (answer) => heed(credential, url, heardFrom(answer)),
  }
}

function heardFrom({ status, headers }: Coming) {
  const said = (name: string) => headers.find(([one]) => one === name)?.[1]
  return { status, challenge: said('www-authenticate'), nonce: said('dpop-nonce') }
}
