import type { FlowStep } from '../../../../model/words.ts'
import type { FlowType } from './op.ts'

/** What clients of this convention expect of the providers that it knows by name. */
export const FLOW_TYPES: ReadonlyMap<string, FlowType> = new Map([
  ['anthropic', 'pkce_redirect'],
  ['claude', 'pkce_redirect'],
  ['gemini', 'pkce_redirect'],
  ['codex', 'browser_redirect'],
  ['qwen', 'device_code'],
])

export type Leaving = Extract<FlowStep, { ask: 'visit' | 'enter-code' }>

/** Only these can be shown by this convention. */
export function isLeaving(step: FlowStep | null): step is Leaving {
  return step?.ask === 'visit' || step?.ask === 'enter-code'
}

/** Any other provider's is what its flow can do. */
export function flowTypeOf(provider: string, step: Leaving, redirects: FlowType): FlowType {
  return FLOW_TYPES.get(provider) ?? (step.ask === 'enter-code' ? 'device_code' : redirects)
}

/** How often a client asks; five seconds where nobody said so. */
export function pollIntervalOf(step: FlowStep | null): number {
  return 1000 * (isLeaving(step) ? (step.everySeconds ?? 5) : 5)
}

export function shown(type: FlowType, step: Leaving): object {
  if (step.ask === 'visit') return { auth_url: step.url.href }
  const { code, at, whole } = step
  if (type !== 'device_code') return { auth_url: (whole ?? at).href }
  return {
    auth_url: at.href,
    user_code: code,
    verification_uri: at.href,
    ...(whole === undefined ? {} : { verification_uri_complete: whole.href }),
  }
}
