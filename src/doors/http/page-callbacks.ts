import type { Callbacks, Ending, RedirectWish } from '../../model/callbacks.ts'

/** Under it every provider has a path of its own, and nothing else of the page lies there. */
export const CALLBACK_PATH = '/oauth/callback'

/** A sign-in whose browser comes back to the page. */
interface Awaited {
  /** The id of the sign-in. */
  readonly flow: string
  readonly until: Date
  readonly arrived: (url: URL) => Promise<Ending | undefined>
}

export interface PageCallbacks extends Callbacks {
  /** Whether the page is where a sign-in with such a wish comes back to. */
  suits(wish: RedirectWish): Promise<boolean>
  awaits(flow: string): boolean
  /** Takes it out of what is awaited: of two that come with one state, the second finds nothing. */
  take(state: string): Awaited | undefined
  /** It was not that sign-in's answer after all. */
  putBack(state: string, awaited: Awaited): void
}

/** The page's own port as the place to come back to. `origin` opens the page where it is not open yet. */
export function pageCallbacks(origin: () => Promise<URL>): PageCallbacks {
  const awaited = new Map<string, Awaited>()

  async function redirectFor({ provider }: RedirectWish): Promise<URL> {
    return new URL(`${CALLBACK_PATH}/${provider}`, await origin())
  }

  function alive(one: Awaited | undefined): Awaited | undefined {
    return one !== undefined && one.until.getTime() > Date.now() ? one : undefined
  }

  return {
    async suits(wish) {
      if (wish.port === undefined && wish.path === undefined) return true
      const { port, pathname } = await redirectFor(wish)
      return wish.host === '127.0.0.1' && wish.port === Number(port) && wish.path === pathname
    },
    async open(wish, arrived) {
      const { state, flow, until } = wish
      const redirectUri = await redirectFor(wish)
      for (const [old, one] of awaited) if (alive(one) === undefined) awaited.delete(old)
      awaited.set(state, { flow, until, arrived })
      return { redirectUri, close: async () => void awaited.delete(state) }
    },
    awaits: (flow) => [...awaited.values()].some((one) => one.flow === flow && alive(one) !== undefined),
    take(state) {
      const found = awaited.get(state)
      awaited.delete(state)
      return alive(found)
    },
    putBack: (state, one) => void awaited.set(state, one),
  }
}
