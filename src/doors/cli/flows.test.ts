import { describe, expect, it } from 'vitest'
import type { FlowSession } from '#client'
import { DONE, play, recording, session } from './test-stage.ts'

const CODE = session({
  id: 'flow-2',
  bucket: 'work',
  step: { ask: 'enter-code', code: 'ABCD', at: 'https://example.com/device', until: DONE.expiresAt },
})
const flows = async () => [CODE, session()]

describe('flows', () => {
  it('lists what is under way, what each waits for and when it ends', async () => {
    const { stdout } = await play(['flows'], { desk: { flows } })
    expect(stdout.trim().split('\n')).toEqual([
      'account      waits for                    ends       id',
      'openai/work  the code ABCD to be entered  in 10 min  flow-2',
      'openai       what you fill in             in 10 min  flow-1',
    ])
  })

  it('says so when nothing is', async () => {
    const { stdout, stderr } = await play(['flows'], { desk: { flows: async () => [] } })
    expect([stdout, stderr]).toEqual(['', 'no sign-in is under way\n'])
  })

  it.each(['flow-2', 'openai/work'])('goes on with one that was begun elsewhere: %s', async (named) => {
    const slower = { ...CODE, step: { ...CODE.step, everySeconds: 10 } } as FlowSession
    const turns = [slower, DONE]
    const flow = async () => turns.shift() ?? DONE
    const { stdout, stderr, exit } = await play(['flows', named], { desk: { flows, flow } })
    expect([exit, stdout]).toEqual([0, 'connected openai as Ada\n'])
    // How often the provider is asked is nothing to say again.
    expect(stderr.match(/enter the code/g)).toHaveLength(1)
  })

  it('leaves it under way when it is left here', async () => {
    const cancelled: string[] = []
    const desk = { flows, flow: async () => CODE, cancel: recording(cancelled, CODE) }
    const onInterrupt = (stop: () => void) => {
      setTimeout(stop, 20)
      return () => {}
    }
    const { stderr, exit } = await play(['flows', 'openai/work'], { desk, hands: { onInterrupt } })
    expect([exit, cancelled]).toEqual([130, []])
    expect(stderr).toContain('it goes on without this command')
  })

  it('ends one', async () => {
    const cancelled: string[] = []
    const desk = { flows, cancel: recording(cancelled, CODE) }
    const { stderr } = await play(['flows', 'openai/work', '--cancel'], { desk })
    expect([cancelled, stderr]).toEqual([['flow-2'], 'the sign-in to openai/work is cancelled\n'])
  })

  it('knows when there is none of that name', async () => {
    const { exit, stderr } = await play(['flows', 'github'], { desk: { flows } })
    expect([exit, stderr]).toEqual([
      1,
      '! flow-not-found: no sign-in called github is under way\n  hint: valetkey flows\n',
    ])
  })
})
