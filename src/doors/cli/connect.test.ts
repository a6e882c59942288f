import { describe, expect, it } from 'vitest'
import { type ConnectRequest, type FlowAnswer, type FlowSession, ValetkeyError } from '#client'
import { canary } from '../../testing/canary.ts'
import type { Question } from './prompts.ts'
import { DONE, OPENAI, play, recording, session } from './test-stage.ts'

/** A desk whose sign-in takes the given turns, and which remembers what it was told. */
function signIn(...turns: readonly FlowSession[]) {
  const told: { requests: ConnectRequest[]; answers: FlowAnswer[]; cancelled: string[] } = {
    requests: [],
    answers: [],
    cancelled: [],
  }
  let turn = 0
  const next = async () => turns[Math.min(turn++, turns.length - 1)] ?? DONE
  const begin = (request: ConnectRequest) => {
    told.requests.push(request)
    return next()
  }
  const desk = {
    providers: async () => [OPENAI],
    connect: begin,
    reconnect: (_: string, request: ConnectRequest = {}) => begin(request),
    rotate: (_: string, request: ConnectRequest = {}) => begin(request),
    answer: (_: string, answer: FlowAnswer) => {
      told.answers.push(answer)
      return next()
    },
    flow: next,
    cancel: recording(told.cancelled, session({ state: 'cancelled' })),
  }
  return { desk, told }
}

const VISIT = { ask: 'visit', url: 'https://example.com/authorize', until: DONE.expiresAt } as const
const SITE = { name: 'site', label: 'Datadog site', kind: 'choice', choices: ['us', 'eu'] } as const
const KEY = { name: 'key', label: 'API key', kind: 'secret' } as const
const APP_KEY = { name: 'applicationKey', label: 'Application key', kind: 'secret' } as const
const fill = (...fields: (typeof SITE | typeof KEY | typeof APP_KEY)[]) =>
  session({ step: { ask: 'fill', fields } })

describe('with a secret on standard input', () => {
  it('gives it to the one field that wants a secret, without the line end', async () => {
    const key = canary('stdin')
    const { desk, told } = signIn(session(), DONE)
    const { stdout, stderr, exit } = await play(['connect', 'openai/work', '--key-stdin'], {
      desk,
      stdin: `${key}\n`,
    })
    expect(told.requests).toEqual([{ provider: 'openai', bucket: 'work', bringsKey: true }])
    expect(told.answers).toEqual([{ fields: { key } }])
    expect([stdout, stderr, exit]).toEqual(['connected openai as Ada\n', '', 0])
  })

  it('takes several as lines of name=value', async () => {
    const [key, applicationKey] = [canary('one'), canary('two')]
    const { desk, told } = signIn(fill(KEY, APP_KEY), DONE)
    const stdin = `key=${key}\napplicationKey=${applicationKey}\n`
    await play(['connect', 'datadog', '--key-stdin'], { desk, stdin })
    expect(told.answers).toEqual([{ fields: { key, applicationKey } }])
  })

  it('asks for names where one secret came and several are wanted', async () => {
    const { desk, told } = signIn(fill(KEY, APP_KEY), DONE)
    const { stderr, exit } = await play(['connect', 'datadog', '--key-stdin'], { desk, stdin: canary('one') })
    expect(stderr).toContain('several secrets are asked for here')
    expect(stderr).toContain('key=…, applicationKey=…')
    expect([exit, told.cancelled]).toEqual([2, ['flow-1']])
  })

  it('lets a pasted key name its provider', async () => {
    const { desk, told } = signIn(session({ provider: null }), DONE)
    const { stdout } = await play(['connect', '--key-stdin'], { desk, stdin: canary('named') })
    expect(told.requests).toEqual([{}])
    expect(stdout).toBe('connected openai as Ada\n')
  })

  it('refuses to go on with nothing, or with far too much', async () => {
    const empty = await play(['connect', 'openai', '--key-stdin'], {
      desk: signIn(session()).desk,
      stdin: '\n',
    })
    expect([empty.exit, empty.stderr]).toEqual([2, expect.stringContaining('nothing came on standard input')])
    const { desk, told } = signIn(session())
    const huge = await play(['connect', 'openai', '--key-stdin'], { desk, stdin: 'x'.repeat(70_000) })
    expect([huge.exit, told.requests]).toEqual([2, []])
    expect(huge.stderr).toContain('! too-large: more than 64 KiB came on standard input')
  })

  it('tells why it was not accepted, and ends the sign-in', async () => {
    const again = session({
      step: { ask: 'fill', because: 'the provider did not accept this key', fields: [KEY] },
    })
    const { desk, told } = signIn(session(), again)
    const key = canary('refused')
    const { stdout, stderr, exit } = await play(['connect', 'openai', '--key-stdin'], { desk, stdin: key })
    expect(stderr).toContain('! invalid-credentials: the provider did not accept this key')
    expect([stdout, exit, told.answers.length, told.cancelled]).toEqual(['', 1, 1, ['flow-1']])
    expect(stderr).not.toContain(key)
  })
})

describe('with nobody to ask', () => {
  it('says what is missing, and how to give it', async () => {
    const { desk, told } = signIn(fill(SITE, KEY))
    const { stdout, stderr, exit } = await play(['connect', 'datadog'], { desk })
    expect(stdout).toBe('')
    expect(stderr).toBe(
      [
        '! usage: nobody can be asked here, and this is missing: Datadog site, API key',
        '  hint: valetkey connect datadog --field site=… --key-stdin < key.txt',
        '',
      ].join('\n'),
    )
    expect([exit, told.cancelled]).toEqual([2, ['flow-1']])
  })

  it('does not open a browser', async () => {
    const { desk, told } = signIn(session({ step: VISIT }))
    const { stderr, exit } = await play(['connect', 'github'], { desk })
    expect(stderr).toBe(
      [
        '! browser-unavailable: this sign-in needs a person at a terminal',
        '  hint: run valetkey connect github in a terminal, or use the page: valetkey open',
        '',
      ].join('\n'),
    )
    expect([exit, told.cancelled]).toEqual([1, ['flow-1']])
  })

  it('says by which other way it can be done instead', async () => {
    const instead = { flow: 'device-code', label: 'a code on any device' }
    const { desk, told } = signIn(session({ step: VISIT, instead }))
    const words = ['connect', 'openai', '--flow', 'authorization-code']
    const { stderr, exit } = await play(words, { desk })
    expect(stderr).toBe(
      [
        '! browser-unavailable: this sign-in needs a person at a terminal',
        '  hint: run valetkey connect openai --flow authorization-code in a terminal, or use the page: valetkey open',
        '  or: valetkey connect openai --flow device-code',
        '',
      ].join('\n'),
    )
    expect([exit, told.cancelled]).toEqual([1, ['flow-1']])
    const handOver = session({
      step: { ask: 'hand-over', because: 'it asks for a proof', until: '' },
      instead,
    })
    const json = await play([...words, '--json'], { desk: signIn(handOver).desk })
    expect(JSON.parse(json.stderr)).toMatchObject({ error: { code: 'browser-unavailable', instead } })
  })

  it('says in the same line which way comes before a key, and what that takes', async () => {
    const register = 'valetkey register github --client-id … --secret-stdin < secret.txt'
    const passedOver = ['a code', 'the browser'].map((label) => {
      return { flow: label, label, why: 'there is no client yet', hint: register }
    })
    const { stderr } = await play(['connect', 'github'], { desk: signIn(session({ passedOver })).desk })
    expect(stderr.split('\n')[0]).toBe(
      `! usage: nobody can be asked here, and this is missing: API key; not by a code or the browser: that takes ${register}`,
    )
  })

  it('lists what can be connected when nothing was named', async () => {
    const { stdout, stderr, exit } = await play(['connect'], { desk: signIn().desk })
    expect(stdout).toContain('openai    OpenAI')
    expect(stderr).toContain('hint: valetkey connect openai --key-stdin')
    expect(exit).toBe(2)
  })
})

describe('with fields on the command line', () => {
  it('takes what is no secret', async () => {
    const { desk, told } = signIn(fill(SITE, KEY), DONE)
    const key = canary('field')
    await play(['connect', 'datadog', '--field', 'site=eu', '--key-stdin'], { desk, stdin: key })
    expect(told.answers).toEqual([{ fields: { site: 'eu', key } }])
  })

  it.each(['op://Private/OpenAI/api key', 'vault://kv/ai#key', 'exec:/usr/local/bin/my-key'])(
    'takes what only says where a secret lies: %s',
    async (key) => {
      const { desk, told } = signIn(session(), DONE)
      const { exit } = await play(['connect', 'openai', '--field', `key=${key}`], { desk })
      expect(told.answers).toEqual([{ fields: { key } }])
      expect(told.requests).toEqual([{ provider: 'openai', bucket: 'default', bringsKey: true }])
      expect(exit).toBe(0)
    },
  )

  it('passes variables on with the request', async () => {
    const { desk, told } = signIn(DONE)
    await play(['connect', 'datadog', '--var', 'site=eu', '--flow', 'api-key', '--insist'], { desk })
    expect(told.requests).toEqual([
      { provider: 'datadog', bucket: 'default', vars: { site: 'eu' }, flow: 'api-key', insist: true },
    ])
  })

  const refusals: readonly [string, string][] = [
    ['key=hunter2', 'this looks like a secret'],
    ['key=mine:op://a/b/c', 'this looks like a secret'],
    ['sight=eu', 'no field is called sight here'],
    ['site=mars', '"mars" is no choice for site'],
  ]
  for (const [field, message] of refusals) {
    it(`refuses ${message}`, async () => {
      const { desk, told } = signIn(fill(SITE, KEY))
      const { stderr, exit } = await play(['connect', 'datadog', '--field', field], { desk })
      expect(stderr).toContain(message)
      expect([exit, told.answers, told.cancelled]).toEqual([2, [], ['flow-1']])
    })
  }
})

describe('with a person', () => {
  it('asks for what is missing, the secret hidden', async () => {
    const key = canary('typed')
    const asked: Question[] = []
    const prompts = {
      choice: recording(asked, 'eu'),
      secret: recording(asked, key),
    }
    const { desk, told } = signIn(fill(SITE, KEY), DONE)
    const { stdout } = await play(['connect', 'datadog'], { desk, prompts })
    expect(asked.map(({ message }) => message)).toEqual(['Datadog site', 'API key'])
    expect(told.answers).toEqual([{ fields: { site: 'eu', key } }])
    expect(stdout).toBe('connected openai as Ada\n')
  })

  it('asks again, and says why', async () => {
    const because = 'the provider did not accept this key'
    const keep = { name: 'keep', label: 'Keep it without a check', kind: 'confirm', optional: true } as const
    const again = session({ step: { ask: 'fill', because, fields: [KEY, keep] } })
    const { desk, told } = signIn(session(), again, DONE)
    const prompts = { secret: async () => canary('twice'), confirm: async () => false }
    const { stderr, exit } = await play(['connect', 'openai'], { desk, prompts })
    expect(stderr).toContain(because)
    expect([exit, told.answers.length]).toEqual([0, 2])
    expect(told.answers[1]).toMatchObject({ fields: { keep: 'no' } })
  })

  it('who turns away leaves nothing behind, and is not blamed', async () => {
    const secret = async () => {
      throw new ValetkeyError('cancelled', 'cancelled')
    }
    const { desk, told } = signIn(session())
    const { stderr, exit } = await play(['connect', 'openai'], { desk, prompts: { secret } })
    expect([stderr, exit, told.cancelled]).toEqual(['cancelled\n', 1, ['flow-1']])
  })

  it('goes on when the browser came back by itself', async () => {
    const step = { ask: 'visit', url: 'https://example.com/authorize', until: DONE.expiresAt } as const
    const { desk } = signIn(session({ step }), DONE)
    const text = ({ signal }: { signal?: AbortSignal }) =>
      new Promise<string>((_, reject) => {
        signal?.addEventListener('abort', () => reject(new ValetkeyError('cancelled', 'cancelled')))
      })
    const { stdout, stderr } = await play(['connect', 'github'], { desk, prompts: { text } })
    expect(stderr).toContain('sign in at https://example.com/authorize')
    expect(stdout).toBe('connected openai as Ada\n')
  })

  it('may paste the address that the browser came back to', async () => {
    const step = { ask: 'visit', url: 'https://example.com/authorize', until: DONE.expiresAt } as const
    const { desk, told } = signIn(session({ step }), DONE)
    const prompts = { text: async () => 'http://127.0.0.1/cb?code=1' }
    await play(['connect', 'github'], { desk, prompts })
    expect(told.answers).toEqual([{ callback: 'http://127.0.0.1/cb?code=1' }])
  })

  it('is told that a pasted address belongs elsewhere, and asked again', async () => {
    const step = { ask: 'visit', url: 'https://example.com/authorize', until: DONE.expiresAt } as const
    const away = session({ step })
    const { desk, told } = signIn(away)
    const pastes = ['http://127.0.0.1/cb?code=1&state=other', 'http://127.0.0.1/cb?code=1']
    const answer = async (_: string, given: FlowAnswer) => {
      told.answers.push(given)
      if (told.answers.length > 1) return DONE
      throw new ValetkeyError('invalid-state', 'this belongs elsewhere', { hint: 'begin again' })
    }
    const text = async () => pastes.shift() ?? ''
    const { stdout, stderr } = await play(['connect', 'github'], {
      desk: { ...desk, answer },
      prompts: { text },
    })
    expect(stderr).toContain('! invalid-state: this belongs elsewhere\n  hint: begin again\n')
    expect([stdout, told.answers.length, told.cancelled]).toEqual(['connected openai as Ada\n', 2, []])
  })

  it('is not asked again where a pasted address ended the sign-in', async () => {
    const step = { ask: 'visit', url: 'https://example.com/authorize', until: DONE.expiresAt } as const
    const { desk } = signIn(session({ step }), session({ state: 'failed', step: null }))
    const answer = async () => {
      throw new ValetkeyError('invalid-code', 'it was not accepted', { hint: 'begin again' })
    }
    const text = async () => 'http://127.0.0.1/cb?code=1'
    const { stderr, exit } = await play(['connect', 'github'], {
      desk: { ...desk, answer },
      prompts: { text },
    })
    expect([stderr, exit]).toEqual([expect.stringContaining('! invalid-code: it was not accepted'), 1])
  })
})

describe('ctrl-c while connecting', () => {
  it('cancels the sign-in and leaves with 130', async () => {
    const { desk, told } = signIn(session())
    let press = () => {}
    const onInterrupt = (act: () => void) => {
      press = act
      return () => {}
    }
    const prompts = {
      secret: () => {
        setImmediate(() => press())
        return new Promise<string>(() => {})
      },
    }
    const { stdout, stderr, exit } = await play(['connect', 'openai'], {
      desk,
      prompts,
      hands: { onInterrupt },
    })
    expect([stdout, stderr, exit]).toEqual(['', 'cancelled\n', 130])
    expect(told.cancelled).toEqual(['flow-1'])
  })

  it('ends the waiting for standard input before anything began', async () => {
    const { desk, told } = signIn(session())
    const onInterrupt = (act: () => void) => {
      setTimeout(act, 20)
      return () => {}
    }
    const { stderr, exit } = await play(['connect', 'openai', '--key-stdin'], {
      desk,
      hands: { onInterrupt },
    })
    expect([stderr, exit, told.requests]).toEqual(['cancelled\n', 130, []])
  })

  it('that came too late says that the account is there', async () => {
    const { desk } = signIn(session())
    let press = () => {}
    const onInterrupt = (act: () => void) => {
      press = act
      return () => {}
    }
    const late = {
      ...desk,
      answer: () => {
        press()
        return new Promise<FlowSession>(() => {})
      },
      cancel: async () => DONE,
    }
    const stdin = canary('late')
    const { stderr, exit } = await play(['connect', 'openai', '--key-stdin'], {
      desk: late,
      stdin,
      hands: { onInterrupt },
    })
    expect(exit).toBe(130)
    expect(stderr).toContain('the account was connected before that')
  })
})

it('tells what became of a sign-in that failed', async () => {
  const reaction = 'ask-the-person' as const
  const failure = {
    code: 'access-denied',
    detail: 'access was denied at GitHub',
    hint: 'try again',
    reaction,
  }
  const { desk } = signIn(session({ state: 'failed', step: null, failure }))
  const { stderr, exit } = await play(['reconnect', 'github'], { desk })
  expect([stderr, exit]).toEqual(['! access-denied: access was denied at GitHub\n  hint: try again\n', 1])
})

it('prints after a rotation what became of the old secret', async () => {
  const receipt = {
    accountId: 'account-1',
    address: 'openai',
    at: DONE.expiresAt,
    lines: [
      { what: 'API key', state: 'alive' as const, how: 'only you can end it, at https://example.com/keys' },
    ],
    livesOn: [],
    leasesEnded: 0,
    bindingsEnded: 0,
  }
  const { desk } = signIn(session(), { ...DONE, receipt })
  const { stdout } = await play(['rotate', 'openai', '--key-stdin'], { desk, stdin: canary('new') })
  expect(stdout).toBe(
    'rotated openai as Ada\n  still alive: API key, only you can end it, at https://example.com/keys\n',
  )
})
