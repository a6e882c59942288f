import type { Shape } from './shape.ts'

export interface Entry {
  readonly name: string
  readonly alias?: string
  readonly group: string
  readonly summary: string
  /** Only the command that was asked for is loaded. */
  load(): Promise<Shape>
}

const ACCOUNTS = 'accounts:'
const USE = 'using them:'
const LEAVE = 'who may:'
const HOUSE = 'the house:'

export const CONTENTS: readonly Entry[] = [
  {
    name: 'connect',
    group: ACCOUNTS,
    summary: 'connect an account',
    load: async () => (await import('./commands/connect.ts')).connect,
  },
  {
    name: 'reconnect',
    group: ACCOUNTS,
    summary: 'sign in again to an account that is already here',
    load: async () => (await import('./commands/connect.ts')).reconnect,
  },
  {
    name: 'flows',
    group: ACCOUNTS,
    summary: 'list the sign-ins under way, and go on with one here',
    load: async () => (await import('./commands/flows.ts')).flows,
  },
  {
    name: 'refresh',
    group: ACCOUNTS,
    summary: 'renew the access to an account now',
    load: async () => (await import('./commands/refresh.ts')).refresh,
  },
  {
    name: 'rotate',
    group: ACCOUNTS,
    summary: 'put a new secret in the place of an old one',
    load: async () => (await import('./commands/connect.ts')).rotate,
  },
  {
    name: 'revoke',
    group: ACCOUNTS,
    summary: 'end an account, a caller or everything, and say what died',
    load: async () => (await import('./commands/revoke.ts')).revoke,
  },
  {
    name: 'accounts',
    group: ACCOUNTS,
    summary: 'list the accounts and how they are',
    load: async () => (await import('./commands/accounts.ts')).accounts,
  },
  {
    name: 'providers',
    group: ACCOUNTS,
    summary: 'list what can be connected',
    load: async () => (await import('./commands/providers.ts')).providers,
  },
  {
    name: 'register',
    group: ACCOUNTS,
    summary: 'sign in to a provider by a client of your own',
    load: async () => (await import('./commands/registrations.ts')).register,
  },
  {
    name: 'unregister',
    group: ACCOUNTS,
    summary: 'end such a client, at its provider too where it can be',
    load: async () => (await import('./commands/registrations.ts')).unregister,
  },
  {
    name: 'registrations',
    group: ACCOUNTS,
    summary: 'list the clients that are signed in by',
    load: async () => (await import('./commands/registrations.ts')).registrations,
  },
  {
    name: 'forward',
    alias: 'request',
    group: USE,
    summary: 'send a request with the account; nothing leaves',
    load: async () => (await import('./commands/forward.ts')).forward,
  },
  {
    name: 'mcp',
    group: USE,
    summary: 'be the MCP server of an account, or valetkey itself, for an agent',
    load: async () => (await import('./commands/mcp.ts')).mcp,
  },
  {
    name: 'lend',
    alias: 'token',
    group: USE,
    summary: 'hand out a token that soon dies',
    load: async () => (await import('./commands/lend.ts')).lend,
  },
  {
    name: 'reveal',
    group: USE,
    summary: 'show a standing secret to its owner',
    load: async () => (await import('./commands/reveal.ts')).reveal,
  },
  {
    name: 'run',
    group: USE,
    summary: 'run a program with an account, for as long as it runs',
    load: async () => (await import('./commands/run.ts')).run,
  },
  {
    name: 'sandbox',
    group: USE,
    summary: 'run a program that may use what it is allowed, and nothing else',
    load: async () => (await import('./commands/sandbox.ts')).sandbox,
  },
  {
    name: 'bind',
    group: LEAVE,
    summary: 'let a program use an account',
    load: async () => (await import('./commands/bind.ts')).bind,
  },
  {
    name: 'unbind',
    group: LEAVE,
    summary: 'end such a permission',
    load: async () => (await import('./commands/bind.ts')).unbind,
  },
  {
    name: 'bindings',
    group: LEAVE,
    summary: 'list who may use what',
    load: async () => (await import('./commands/bind.ts')).bindings,
  },
  {
    name: 'ask',
    group: LEAVE,
    summary: 'ask the owner to let you use an account',
    load: async () => (await import('./commands/ask.ts')).ask,
  },
  {
    name: 'asks',
    group: LEAVE,
    summary: 'list what you are asked, and answer it',
    load: async () => (await import('./commands/asks.ts')).asks,
  },
  {
    name: 'keys',
    group: LEAVE,
    summary: 'cut keys for programs elsewhere, list and kill them',
    load: async () => (await import('./commands/keys.ts')).keys,
  },
  {
    name: 'narrow',
    group: LEAVE,
    summary: 'hand on less than you may yourself, to a child',
    load: async () => (await import('./commands/keys.ts')).narrow,
  },
  {
    name: 'leases',
    group: LEAVE,
    summary: 'list what was lent, and end it',
    load: async () => (await import('./commands/leases.ts')).leases,
  },
  {
    name: 'usage',
    group: LEAVE,
    summary: 'count what was used, by day',
    load: async () => (await import('./commands/usage.ts')).usage,
  },
  {
    name: 'audit',
    group: LEAVE,
    summary: 'read, verify and prune the record',
    load: async () => (await import('./commands/audit.ts')).audit,
  },
  {
    name: 'open',
    group: HOUSE,
    summary: 'open the page in a browser',
    load: async () => (await import('./commands/open.ts')).open,
  },
  {
    name: 'serve',
    group: HOUSE,
    summary: 'run valetkey until it is told to stop',
    load: async () => (await import('./commands/serve.ts')).serve,
  },
  {
    name: 'demo',
    group: HOUSE,
    summary: 'see what it is all about, in half a minute',
    load: async () => (await import('./commands/demo.ts')).demo,
  },
  {
    name: 'vault',
    group: HOUSE,
    summary: 'see, lock, unlock, re-key, export, import or erase the vault',
    load: async () => (await import('./commands/vault.ts')).vault,
  },
  {
    name: 'help',
    group: HOUSE,
    summary: 'say how a command is used',
    load: async () => (await import('./commands/version.ts')).version,
  },
  {
    name: 'version',
    group: HOUSE,
    summary: 'print the version',
    load: async () => (await import('./commands/version.ts')).version,
  },
]
