/** An account's place among its owner's: `github`, or `github/work` where there are several. */
export interface Address {
  readonly provider: string
  readonly bucket: string
}

export const DEFAULT_BUCKET = 'default'

const NAME = /^[a-z0-9][a-z0-9._-]{0,62}$/

/** Undefined for what is no address, so that each door refuses it in its own voice. */
export function parseAddress(text: string): Address | undefined {
  const [provider = '', bucket = DEFAULT_BUCKET, ...rest] = text.toLowerCase().split('/')
  if (rest.length > 0 || !NAME.test(provider) || !NAME.test(bucket)) return undefined
  return { provider, bucket }
}

export function formatAddress({ provider, bucket }: Address): string {
  return bucket === DEFAULT_BUCKET ? provider : `${provider}/${bucket}`
}
