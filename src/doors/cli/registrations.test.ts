import { describe, expect, it } from 'vitest'
import {
  type ConnectRequest,
  type ProviderCard,
  type Registered,
  type RegisterRequest,
  ValetkeyError,
} from '#client'
import { canary } from '../../testing/canary.ts'
import { DONE, OPENAI, play } from './test-stage.ts'

const ANY: ProviderCard = {
  ...OPENAI,
  id: 'any',
  name: 'Any server',
  flows: ['authorization-code'],
  needs: 'own-client',
  ownClient: {
    flow: 'authorization-code',
    redirectUri: 'http://127.0.0.1:17771/callback/any/{issuer}',
    scopes: ['openid'],
    console: 'https://any.test/apps',
    minutes: 5,
    note: 'Choose native.',
    asks: [{ name: 'issuer', label: 'Issuer', kind: 'text' }],
  },
}
const MADE: Registered = {
  id: 'reg-1',
  provider: 'any',
  issuer: 'https://login.test',
  clientId: 'mine',
  how: 'yours',
  createdAt: '2027-03-01T11:00:00.000Z',
  trouble: null,
  checked: false,
}

function deskFor(asked: RegisterRequest[] = []) {
  return {
    providers: async () => [OPENAI, ANY],
    register: async (request: RegisterRequest) => {
      asked.push(request)
      return MADE
    },
  }
}

function answering(texts: string[], secret: string) {
  return { text: async () => texts.shift() ?? '', secret: async () => secret }
}

describe('registering', () => {
  it('asks a person which server, shows what to copy there, and takes what it gave', async () => {
    const asked: RegisterRequest[] = []
    const secret = canary('clientsecret')
    const { stdout, stderr, exit } = await play(['register', 'any'], {
      desk: deskFor(asked),
      prompts: answering(['https://login.test', 'mine'], secret),
    })
    expect(asked).toEqual([
      { provider: 'any', clientId: 'mine', clientSecret: secret, vars: { issuer: 'https://login.test' } },
    ])
    expect(stderr).toContain('a client of your own, made in about 5 minutes:\n')
    expect(stderr).toContain('redirect   http://127.0.0.1:17771/callback/any/login.test\n')
    expect(stdout).toBe('registered a client at any\n')
    expect(stderr).not.toContain(secret)
    expect(exit).toBe(0)
  })

  it('takes a secret from standard input alone, and none where there is none', async () => {
    const asked: RegisterRequest[] = []
    const words = ['register', 'any', '--client-id', 'mine', '--var', 'issuer=login.test']
    const desk = deskFor(asked)
    const stdin = ` ${canary('clientsecret')}\n`
    await play([...words, '--secret-stdin'], { desk, stdin })
    await play(words, { desk })
    const request = { provider: 'any', clientId: 'mine', vars: { issuer: 'login.test' } }
    expect(asked).toEqual([{ ...request, clientSecret: stdin.trim() }, request])
  })

  it('takes a private key from there as well, and the certificate beside it', async () => {
    const asked: RegisterRequest[] = []
    const words = [
      'register',
      'any',
      '--client-id',
      'mine',
      '--var',
      'issuer=login.test',
      '--private-key-stdin',
    ]
    const desk = deskFor(asked)
    const privateKey = `-----BEGIN PRIVATE KEY-----\n${canary('key')}\n-----END PRIVATE KEY-----`
    const certificate = '-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n'
    await play(words, { desk, stdin: `${privateKey}\n` })
    await play(words, { desk, stdin: certificate + privateKey })
    const request = { provider: 'any', clientId: 'mine', vars: { issuer: 'login.test' }, privateKey }
    expect(asked).toEqual([request, { ...request, certificate }])
    expect(await play([...words, '--secret-stdin'], { desk, stdin: privateKey })).toMatchObject({ exit: 2 })
  })

  it('says so when nothing came on standard input', async () => {
    const words = ['register', 'any', '--client-id', 'mine', '--secret-stdin']
    const { stderr, exit } = await play(words, { desk: deskFor(), stdin: '\n' })
    expect(stderr).toContain('! usage: nothing came on standard input')
    expect(exit).toBe(2)
  })
})

describe('what comes next', () => {
  const way = (flow: string, scopes: readonly string[]) => {
    return {
      flow,
      label: flow,
      called: [],
      scopes,
      optionalScopes: [],
      notice: null,
      tried: 'by-itself',
    } as const
  }
  const ways = [way('device-code', ['read']), way('authorization-code', ['read']), way('api-key', [])]
  const browserFirst = [way('authorization-code', ['read']), way('api-key', [])]

  it.each([
    ['the first way', ways, false, 'device-code'],
    ['the browser, where there is one and it comes first', [...ways].reverse(), true, 'authorization-code'],
    ['the browser, where a client is for nothing else', browserFirst, false, 'authorization-code'],
    ['any other way, where there is no browser', [...ways].reverse(), false, 'device-code'],
  ])('is %s', async (_, ways, hasBrowser, flow) => {
    const desk = { ...deskFor(), providers: async () => [{ ...ANY, ways }] }
    const words = ['register', 'any', '--client-id', 'mine', '--var', 'issuer=login.test']
    const { stderr } = await play(words, {
      desk,
      ...(hasBrowser && { prompts: { secret: async () => '' } }),
    })
    expect(stderr).toContain(`  next: valetkey connect any --flow ${flow}\n`)
  })
})

describe('unregistering', () => {
  function deskOf(...ids: readonly string[]) {
    const ended: string[] = []
    const desk = {
      ...deskFor(),
      registrations: async () => ids.map((id) => ({ ...MADE, id })),
      unregister: async (id: string) => {
        ended.push(id)
        return { what: 'client', state: 'died', how: 'deleted at the provider' } as const
      },
    }
    return { desk, ended }
  }

  it('takes the name of a provider that has one registration', async () => {
    const { desk, ended } = deskOf('reg-1')
    const { stdout } = await play(['unregister', 'any'], { desk })
    expect([ended, stdout]).toEqual([['reg-1'], expect.stringMatching(/^unregistered reg-1\n/)])
  })

  it('says which ids a provider has, where it has several, and takes one of them', async () => {
    const { desk, ended } = deskOf('reg-1', 'reg-2')
    const { stderr, exit } = await play(['unregister', 'any'], { desk })
    expect(stderr).toBe(
      '! usage: which of them? any has 2 registrations\n  hint: valetkey unregister reg-1 or reg-2\n',
    )
    await play(['unregister', 'reg-2'], { desk })
    expect([exit, ended]).toEqual([2, ['reg-2']])
  })
})

describe('connecting without a name', () => {
  it('offers what needs nothing as it is, and says what the rest needs', async () => {
    let offered: readonly string[] = []
    const prompts = {
      choice: async ({ choices }: { readonly choices: readonly string[] }) => {
        offered = choices
        throw new ValetkeyError('cancelled', 'cancelled')
      },
    }
    await play(['connect'], { desk: deskFor(), prompts })
    expect(offered.slice(2)).toEqual(['openai', 'any (needs a client of your own, 5 min)'])
  })

  it('takes the address of an MCP server as well', async () => {
    const asked: ConnectRequest[] = []
    const desk = {
      ...deskFor(),
      connect: async (request: ConnectRequest) => {
        asked.push(request)
        return DONE
      },
    }
    const prompts = {
      choice: async ({ choices }: { readonly choices: readonly string[] }) =>
        choices.find((one) => one.includes('MCP')) ?? '',
      text: async () => 'mcp.notion.com/mcp',
    }
    const { exit } = await play(['connect'], { desk, prompts })
    expect([asked, exit]).toEqual([[{ provider: 'https://mcp.notion.com/mcp' }], 0])
  })
})
