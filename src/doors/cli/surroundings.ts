import type { Environment } from './hands.ts'

/** By these Valetkey itself is told where everything lies and how it is opened: that is the owner's to know. */
const OURS = /^(VALETKEY_.*|DATABASE_URL|LLXPRT_CREDENTIAL_SOCKET)$/i

/** The environment of a program that comes in by a socket of its own. */
export function surroundings(
  env: Environment,
  socket: string,
  more: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const rest = Object.entries(env).filter(([name, value]) => value !== undefined && !OURS.test(name))
  return {
    ...(Object.fromEntries(rest) as Record<string, string>),
    ...more,
    VALETKEY_SOCKET: socket,
    LLXPRT_CREDENTIAL_SOCKET: socket,
  }
}
