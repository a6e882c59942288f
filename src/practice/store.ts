import type { Adapter, AdapterPayload } from 'oidc-provider'

interface Row {
  readonly payload: AdapterPayload
  readonly until: number
}

/** What the library keeps, in memory, for the life of this process. */
export interface Store {
  adapter(model: string): Adapter
  /** Whether a token or a code of this grant can still be used. */
  lives(grantId: string): boolean
  /** Ends a grant with all that was ever issued under it. */
  end(grantId: string): void
}

/** A refresh token that was used is still taken for `grace` seconds, as some providers do. */
export function openStore(now: () => Date, grace = 0): Store {
  const rows = new Map<string, Row>()

  function find(key: string): AdapterPayload | undefined {
    const row = rows.get(key)
    return row !== undefined && row.until > now().getTime() ? row.payload : undefined
  }

  function keep(key: string, payload: AdapterPayload, seconds = Number.POSITIVE_INFINITY): void {
    const time = now().getTime()
    for (const [old, { until }] of rows) if (until <= time) rows.delete(old)
    rows.set(key, { payload, until: time + seconds * 1000 })
  }

  /** Within the grace a used token looks unused, so that it yields one more successor. */
  function graced(payload: AdapterPayload | undefined): AdapterPayload | undefined {
    const { consumed } = payload ?? {}
    if (payload === undefined || typeof consumed !== 'number') return payload
    if (now().getTime() >= (consumed + grace) * 1000) return payload
    return { ...payload, consumed: undefined }
  }

  function issuedUnder(grantId: string): readonly string[] {
    return [...rows.keys()].filter((key) => find(key)?.grantId === grantId && !key.startsWith('Interaction:'))
  }

  function forget(grantId: string): void {
    for (const key of issuedUnder(grantId)) rows.delete(key)
  }

  function adapter(model: string): Adapter {
    const keyOf = (id: string) => `${model}:${id}`
    const search = (fits: (payload: AdapterPayload) => boolean) =>
      [...rows.keys()]
        .filter((key) => key.startsWith(`${model}:`))
        .map(find)
        .find((payload) => payload !== undefined && fits(payload))
    return {
      find: async (id) => (model === 'RefreshToken' ? graced(find(keyOf(id))) : find(keyOf(id))),
      findByUid: async (uid) => search((payload) => payload.uid === uid),
      findByUserCode: async (code) => search((payload) => payload.userCode === code),
      upsert: async (id, payload, seconds) => keep(keyOf(id), payload, seconds),
      // A consumed token stays until it would have died anyway: only so is its second use noticed.
      consume: async (id) => {
        const payload = find(keyOf(id))
        if (payload !== undefined) payload.consumed ??= Math.floor(now().getTime() / 1000)
      },
      destroy: async (id) => void rows.delete(keyOf(id)),
      revokeByGrantId: async (grantId) => forget(grantId),
    }
  }

  return {
    adapter,
    lives: (grantId) =>
      find(`Grant:${grantId}`) !== undefined &&
      issuedUnder(grantId).some((key) => find(key)?.consumed === undefined),
    end: (grantId) => {
      forget(grantId)
      rows.delete(`Grant:${grantId}`)
    },
  }
}
