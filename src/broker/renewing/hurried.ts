import type { FlowContext } from '../../model/flow.ts'
import type { Outgoing } from '../../model/network.ts'

/** The same context, with one limit over all that is asked by it. */
export function hurried({ network, ...context }: FlowContext, milliseconds: number): FlowContext {
  const limit = AbortSignal.timeout(milliseconds)
  const fetch = (url: URL, { signal, ...request }: Outgoing = {}) =>
    network.fetch(url, { ...request, signal: signal ? AbortSignal.any([signal, limit]) : limit })
  return { ...context, network: { ...network, fetch } }
}
