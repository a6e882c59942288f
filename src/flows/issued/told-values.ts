import { ValetkeyError } from '#client'
import type { FlowContext } from '../../model/flow.ts'
import type { Provider, SignIn } from '../../model/provider.ts'
import type { Values } from '../filled/key-fields.ts'

/** In the place of the API's hosts, while none of them is known. */
const NO_HOST = 'api.invalid'

/** The variables that nobody is asked for: the browser, the token endpoint or a look-up tells them. */
export function comingLater({ captures, told, lookups, exchange }: SignIn): readonly string[] {
  const traded = exchange !== undefined && 'told' in exchange ? Object.values(exchange.told) : []
  const said = [...Object.values(captures), ...Object.values(told), ...traded]
  return [...said, ...lookups.map((lookup) => lookup.as)]
}

/** Whether it has to be known before the browser can be sent off. */
export function isSentTo({ oauth }: Provider, name: string): boolean {
  return [oauth?.issuer, oauth?.authorize].some((link) => link?.includes(`{${name}}`) === true)
}

/** The pointers at which something is read in the answer of the token endpoint. */
export function readInAnswer({ told, whose }: SignIn): readonly string[] {
  const people = [whose?.subject, whose?.displayName].filter((pointer) => pointer !== undefined)
  return [...Object.keys(told), ...people]
}

/** The provider with those of its hosts alone that are known by now. */
export function asKnown(
  { provider, signIn }: Pick<FlowContext, 'provider' | 'signIn'>,
  vars: Values,
): Provider {
  const open = comingLater(signIn).filter((name) => vars[name] === undefined)
  const hosts = provider.hosts.filter((host) => !open.some((name) => host.includes(`{${name}}`)))
  if (hosts.length === provider.hosts.length) return provider
  return { ...provider, hosts: hosts.length > 0 ? hosts : [NO_HOST] }
}

/** What was told becomes the value of a variable; the catalogue judges it like one that a person filled in. */
export function meantBy(provider: Provider, name: string, said: string): string {
  const bare = said.replace(/^https:\/\//, '').replace(/\/$/, '')
  return decidedBy(provider, name, bare) ?? partOf(provider, name, bare) ?? bare
}

/** A choice may be told by what it decides as well, such as the address of its pages. */
function decidedBy({ vars }: Provider, name: string, bare: string): string | undefined {
  const decided = vars.flatMap((one) => (one.decided?.by === name ? Object.entries(one.decided.values) : []))
  return decided.find(([choice, follows]) => choice === bare || follows === bare)?.[0]
}

/** A part of a host may be told by the whole of it. */
function partOf({ hosts }: Provider, name: string, bare: string): string | undefined {
  for (const host of hosts) {
    const [before, after, ...more] = host.split(`{${name}}`)
    if (before === undefined || !after || more.length > 0 || /[{}]/.test(before + after)) continue
    if (bare.length > before.length + after.length && bare.startsWith(before) && bare.endsWith(after))
      return bare.slice(before.length, bare.length - after.length)
  }
  return undefined
}

/** Throws where a value that was told leads to no place of the provider's. */
export function refuseElsewhere(context: FlowContext, vars: Values): void {
  try {
    context.catalogue.destination(asKnown(context, vars), vars)
  } catch (error) {
    if (!(error instanceof ValetkeyError) || error.code !== 'invalid-request') throw error
    throw new ValetkeyError('bad-answer', `${context.provider.name} told of a place that it does not have`)
  }
}
