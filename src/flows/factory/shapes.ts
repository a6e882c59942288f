import { z } from 'zod'
import { ValetkeyError } from '#client'

// The shapes of the programs that bring sign-ins along, in their own spelling.

/** A token as such programs keep it; `expiry` is in seconds since 1970. */
export interface OAuthToken {
  readonly access_token: string
  readonly refresh_token?: string
  readonly expiry?: number
  readonly token_type?: string
  readonly scope?: string
}

export interface DeviceCodeResponse {
  readonly device_code: string
  readonly user_code?: string
  readonly verification_uri: string
  readonly verification_uri_complete?: string
  readonly expires_in?: number
  readonly interval?: number
}

/** One sign-in, from its beginning to the renewals of what it yields. */
export interface OAuthFlowInterface {
  initiateDeviceFlow(redirectUri?: string): Promise<DeviceCodeResponse>
  exchangeCodeForToken?(code: string, state?: string): Promise<OAuthToken>
  pollForToken?(deviceCode: string): Promise<OAuthToken>
  refreshToken?(refreshToken: string): Promise<OAuthToken>
}

export type FlowFactories = ReadonlyMap<string, () => OAuthFlowInterface>

/** Fields that are known beforehand. */
export const FIELDS = { redirect: 'redirectUri' } as const

const link = z.string().refine((text) => {
  const url = URL.parse(text)
  const isHere = url?.hostname === '127.0.0.1' || url?.hostname === '[::1]' || url?.hostname === 'localhost'
  return url?.protocol === 'https:' || (url?.protocol === 'http:' && isHere)
})

const begun = z.looseObject({
  device_code: z.string(),
  user_code: z.string().optional(),
  verification_uri: link,
  verification_uri_complete: link.optional(),
  interval: z.number().positive().max(600).optional(),
})

export type Begun = z.infer<typeof begun>

/** A person is sent nowhere but to https, or to this very computer. */
export function answerOf(response: unknown): Begun {
  const read = begun.safeParse(response)
  if (read.success) return read.data
  throw new ValetkeyError('flow-failed', 'the sign-in could not be started')
}
