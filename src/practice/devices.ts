import type Provider from 'oidc-provider'
import type { Counts } from './counts.ts'

/** How often a device may ask whether its code was entered. */
const INTERVAL_SECONDS = 2
/** RFC 8628 §3.5: so much more for a device that was told to slow down, from then on. */
const SLOWER_SECONDS = 5
const REMEMBERED_MS = 60 * 60_000

/** What is known of a code that a device asks with. */
interface Device {
  readonly since: number
  everySeconds: number
  answeredAt: number
  /** It is told to slow down at its next question. */
  isToSlowDown: boolean
  /** Its person has decided, or took too long. */
  isOver: boolean
}

export interface Devices {
  /** Has every device that waits told to slow down once. */
  slowDown(): void
}

const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code'

/** Says how often devices may ask, and counts those that do not keep to it. */
export function paceDevices(provider: Provider, counts: Counts, now: () => Date): Devices {
  const devices = new Map<string, Device>()

  function began(code: string): void {
    const since = now().getTime()
    for (const [old, device] of devices) if (since - device.since > REMEMBERED_MS) devices.delete(old)
    const fresh = { since, everySeconds: INTERVAL_SECONDS, answeredAt: since }
    devices.set(code, { ...fresh, isToSlowDown: false, isOver: false })
    counts.devices += 1
  }

  /** Whether it asked too soon; one that asks before its last question was answered does as well. */
  function asked(device: Device, came: number): boolean {
    counts.polls += 1
    if (device.isOver) counts.belated += 1
    const isTooSoon = came < device.answeredAt + device.everySeconds * 1000
    if (isTooSoon) counts.hurried += 1
    device.answeredAt = now().getTime()
    return isTooSoon
  }

  provider.use(async (ctx, next) => {
    const came = now().getTime()
    await next()
    const { route, params } = ctx.oidc ?? {}
    const body = ctx.body as { device_code?: string; interval?: number; error?: string } | undefined
    if (route === 'device_authorization' && body?.device_code) {
      body.interval = INTERVAL_SECONDS
      began(body.device_code)
    }
    if (route !== 'token' || params?.['grant_type'] !== DEVICE_GRANT) return
    const device = devices.get(String(params['device_code']))
    if (device === undefined) return
    const isTooSoon = asked(device, came)
    device.isOver ||= body?.error !== 'authorization_pending'
    if (device.isOver || !(isTooSoon || device.isToSlowDown)) return
    device.isToSlowDown = false
    device.everySeconds += SLOWER_SECONDS
    ctx.body = { error: 'slow_down', error_description: 'asked too often' }
    counts.slowed += 1
  })

  return {
    slowDown: () => {
      for (const device of devices.values()) device.isToSlowDown = !device.isOver
    },
  }
}
