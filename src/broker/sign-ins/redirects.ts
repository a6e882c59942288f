import type { Field } from '#client'
import type { Provider, SignIn, Variable } from '../../model/provider.ts'

/** Where nobody knows which server it is, nobody knows either whether it lets the port vary. */
const ANY_SERVER_PORT = 17_771

/** Any value may be given to it, so another value makes it another provider's server. */
export function isOpen({ choices, decided }: Variable): boolean {
  return choices === undefined && decided === undefined
}

/** What has to be told before it is known which server a client is for. */
export function asksOf({ oauth, vars }: Provider): readonly Field[] {
  const server = serverIn(oauth)
  return vars
    .filter((variable) => isOpen(variable) && holds(server, variable))
    .map(({ name, label, hint, default: usual }) => ({
      name,
      label,
      kind: 'text',
      ...(hint === undefined ? {} : { hint }),
      ...(usual === undefined ? {} : { optional: true }),
    }))
}

/**
 * Where the browser comes back to with a client of the person's own, for them to copy. Servers that do
 * not name themselves in their answers are told apart by it, so each has one of its own (RFC 9700
 * §4.4.2.2); `{name}` stands in it for a variable.
 */
export function ownRedirect({ id, oauth, vars }: Provider, { redirect }: SignIn): string {
  const server = serverIn(oauth)
  const open = vars.filter((variable) => isOpen(variable) && holds(server, variable))
  const { host = '127.0.0.1', port = open.length > 0 ? ANY_SERVER_PORT : '', path } = redirect ?? {}
  const at = [path ?? `/callback/${id}`, ...open.map(({ name }) => `{${name}}`)].join('/')
  return `http://${host}${port === '' ? '' : `:${port}`}${at}`
}

/** The sign-in of a provider that sends the person's browser to it on these terms. */
export function comingBackTo(signIn: SignIn, redirectUri: string): SignIn {
  const { hostname, port, pathname } = new URL(redirectUri)
  return {
    ...signIn,
    redirect: {
      host: hostname === 'localhost' ? 'localhost' : '127.0.0.1',
      path: pathname,
      ...(port === '' ? {} : { port: Number(port) }),
    },
  }
}

/** Puts the values in, without what every address begins with. */
export function filledIn(redirect: string, { vars }: Provider, given: Readonly<Record<string, string>>) {
  return vars.reduce((filled, { name, default: usual = '' }) => {
    const value = (given[name] ?? usual).replace(/^https?:\/\//, '')
    return filled.replaceAll(`{${name}}`, value)
  }, redirect)
}

/** By what a server is known: its issuer, or else the endpoint that gets to see the secret. */
function serverIn(oauth: Provider['oauth']): string {
  return oauth?.issuer ?? oauth?.token ?? ''
}

function holds(link: string, { name }: Variable): boolean {
  return link.includes(`{${name}}`)
}
