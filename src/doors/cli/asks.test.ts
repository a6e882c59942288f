import { describe, expect, it } from 'vitest'
import { type Ask, type Decision, type Desk, ValetkeyError, type VaultStatus } from '#client'
import { ACCOUNT, NOW, play, recording } from './test-stage.ts'

const ASK: Ask = {
  id: 'ask-1',
  caller: 'app:reports',
  who: {
    door: 'socket as',
    executable: '/usr/bin/node /home/ada/reports.js',
    chain: ['/usr/bin/bash', '/usr/bin/tmux'],
    uid: 1000,
    pid: 7,
  },
  address: 'openai',
  may: ['forward'],
  reason: 'weekly report',
  state: 'pending',
  decision: null,
  askedAt: NOW.toISOString(),
  until: '2027-03-01T12:10:00.000Z',
}
const ALLOWED: Ask = { ...ASK, state: 'allowed', decision: 'ten-minutes' }
const REFUSED: Ask = { ...ASK, state: 'refused', decision: 'no' }

const reaching = (ask: Ask) => ({ desk: { ask: async () => ask } })
const asking = ['ask', 'openai', '--reason', 'weekly report']

describe('ask', () => {
  it('says what was asked for, and prints the id alone', async () => {
    const asked: unknown[] = []
    const { exit, stdout, stderr } = await play([...asking, '--may', 'lend,forward'], {
      desk: { ask: recording(asked, ASK) },
    })
    expect(asked).toEqual([{ address: 'openai', may: ['lend', 'forward'], reason: 'weekly report' }])
    expect([exit, stdout]).toEqual([0, 'ask-1\n'])
    expect(stderr).toContain('the owner is asked whether you may send requests with openai')
  })

  it.each([
    ['allowed', ALLOWED, 0, ''],
    ['refused', REFUSED, 4, '! not-allowed: the owner said no to openai'],
  ])('tells a script by its code when it is %s at once', async (_, ask, exit, said) => {
    const told = await play(asking, reaching(ask))
    expect(told.exit).toBe(exit)
    expect(told.stderr).toContain(said)
    const json = await play([...asking, '--json'], reaching(ask))
    expect([json.exit, JSON.parse(json.stdout)]).toEqual([exit, ask])
  })

  it.each([
    ['allowed', ALLOWED, 0],
    ['refused', REFUSED, 4],
    ['lapsed', { ...ASK, state: 'lapsed' } as const, 4],
  ])('waits until it is %s, however often the broker goes away meanwhile', async (_, ask, exit) => {
    const answers = [ASK, new ValetkeyError('broker-gone', 'it went away'), ask]
    const asked: Desk['asked'] = async () => {
      const next = answers.shift()
      if (next === undefined || next instanceof ValetkeyError) throw next
      return next
    }
    const told = await play([...asking, '--wait', '1m'], { desk: { ask: async () => ASK, asked } })
    expect(told.exit).toBe(exit)
    expect(answers).toEqual([])
  })

  it('does not wait for ever', async () => {
    const { exit, stderr } = await play([...asking, '--wait', '1s'], {
      desk: {
        ask: async () => ASK,
        asked: async () => {
          await new Promise((resolve) => setTimeout(resolve, 300))
          return ASK
        },
      },
    })
    expect([exit, stderr]).toEqual([4, expect.stringContaining('! ask-needed: nobody has answered yet')])
  })
})

describe('asks', () => {
  const ofOwner = { status: async () => ({ accounts: 1 }) as VaultStatus }
  const deciding = () => {
    const said: [string, Decision][] = []
    const decide: Desk['decide'] = async (id, decision) => {
      said.push([id, decision])
      return { ...ASK, decision, state: decision === 'no' ? 'refused' : 'allowed' }
    }
    return { said, decide }
  }

  it('are listed in words that a person understands', async () => {
    const missing = { ...ASK, id: 'ask-2', address: 'github/work' }
    const { stdout } = await play(['asks'], {
      keeper: ofOwner,
      desk: { asks: async () => [ASK, missing], accounts: async () => [ACCOUNT] },
    })
    expect(stdout).toContain(
      'reports (node /home/ada/reports.js, started by bash)  send requests with openai',
    )
    expect(stdout).toContain('github/work (no such account)')
  })

  it('say nothing of what is there to whoever is not the owner', async () => {
    const keeper = { status: async () => ({ accounts: null }) as VaultStatus }
    const { stdout } = await play(['asks'], { keeper, desk: { asks: async () => [ASK] } })
    expect(stdout).toContain('send requests with openai')
    expect(stdout).not.toContain('no such account')
  })

  it.each([
    [['allow', 'ask-1'], 'once', 'allowed once: '],
    [['allow', 'ask-1', '--once'], 'once', 'allowed once: '],
    [['allow', 'ask-1', '--for', '10m'], 'ten-minutes', 'allowed for ten minutes: '],
    [['allow', 'ask-1', '--always'], 'always', 'allowed from now on: '],
    [['refuse', 'ask-1'], 'no', 'refused: '],
  ])('are answered: %j', async (words, decision, begins) => {
    const { said, decide } = deciding()
    const { exit, stderr } = await play(['asks', ...words], { desk: { decide } })
    expect([exit, said]).toEqual([0, [['ask-1', decision]]])
    expect(stderr.startsWith(`${begins}reports (node`)).toBe(true)
  })

  it.each([[['--once', '--always']], [['--for', '2h']], [['--for', 'ever']]])(
    'are not answered by what makes no sense: %j',
    async (options) => {
      expect((await play(['asks', 'allow', 'ask-1', ...options], { desk: {} })).exit).toBe(2)
    },
  )

  it('are put to whoever sits there, with what is known of who asks; leaving it open is the first choice', async () => {
    const { said, decide } = deciding()
    const offered: (readonly string[])[] = []
    const prompts = {
      choice: async ({ choices }: { readonly choices: readonly string[] }) => {
        offered.push(choices)
        return offered.length === 1 ? 'not now' : 'always'
      },
    }
    const desk = {
      asks: async () => [ASK, { ...ASK, id: 'ask-2' }, ALLOWED],
      accounts: async () => [ACCOUNT],
      decide,
    }
    const { stderr } = await play(['asks'], { desk, keeper: ofOwner, prompts })
    expect(offered).toEqual(Array(2).fill(['not now', 'no', 'once', 'for ten minutes', 'always']))
    expect(said).toEqual([['ask-2', 'always']])
    expect(stderr).toContain(
      'reports (node /home/ada/reports.js, started by bash) wants to send requests with openai: "weekly report"\n' +
        '  /usr/bin/node /home/ada/reports.js; started by bash, by tmux; user 1000; came by the socket\n' +
        '  it lapses in 10 min\n',
    )
  })

  it('that were answered on the page meanwhile are no trouble', async () => {
    const decide = () => Promise.reject(new ValetkeyError('conflict', 'this was decided already: no'))
    const desk = { asks: async () => [ASK], accounts: async () => [ACCOUNT], decide }
    const { exit, stderr } = await play(['asks'], {
      desk,
      keeper: ofOwner,
      prompts: { choice: async () => 'once' },
    })
    expect([exit, stderr]).toEqual([0, expect.stringContaining('this was decided already: no')])
  })

  it('can do nothing to a terminal with what a program says of itself', async () => {
    const nasty = { ...ASK, reason: 'a\u001b[2Jb', who: { ...ASK.who, executable: '/bin/\u001b]0;x\u0007' } }
    const { stdout } = await play(['asks'], {
      keeper: ofOwner,
      desk: { asks: async () => [nasty], accounts: async () => [] },
    })
    expect(stdout).not.toContain('\u001b')
  })
})

describe('a use that its owner wants to be asked about, where they sit at the terminal', () => {
  const asked = new ValetkeyError('ask-needed', 'first', { hint: 'valetkey asks allow ask-1' })

  function scene(choice: string) {
    const uses: string[] = []
    const decided: Decision[] = []
    const lesser: Partial<Desk> = {
      asks: async () => [{ ...ASK, id: 'ask-0' }, ASK],
      lend: async () => {
        uses.push('lend')
        if (decided.length === 0 || decided[0] === 'no') throw asked
        return { token: 'of the provider' } as never
      },
    }
    const owner: Partial<Desk> = {
      accounts: async () => [ACCOUNT],
      decide: async (id, decision) => {
        expect(id).toBe('ask-1')
        decided.push(decision)
        return { ...ASK, decision, state: decision === 'no' ? 'refused' : 'allowed' }
      },
    }
    const reach = async ({ as }: { as?: string }) => ({
      desk: (as ? lesser : owner) as Desk,
      keeper: {} as never,
    })
    return {
      uses,
      decided,
      run: () =>
        play(['lend', 'openai', '--as', 'app:reports'], {
          prompts: { choice: async () => choice },
          hands: { reach },
        }),
    }
  }

  it('goes on when it is allowed', async () => {
    const { run, uses, decided } = scene('once')
    expect(await run()).toMatchObject({ exit: 0, stdout: 'of the provider\n' })
    expect([uses, decided]).toEqual([['lend', 'lend'], ['once']])
  })

  it.each(['no', 'not now'])('is refused as it was on %s', async (choice) => {
    const { run, uses } = scene(choice)
    expect(await run()).toMatchObject({ exit: 4, stderr: expect.stringContaining('! ask-needed: first') })
    expect(uses).toEqual(['lend'])
  })
})
