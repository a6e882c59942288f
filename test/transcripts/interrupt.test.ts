import { setTimeout as pause } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { raiseStage } from './stage.ts'

const LET_THE_BROKER_HEAR_MS = 500

it('ctrl-c while the provider is asked leaves no account, no stack and exit code 130', {
  timeout: 60_000,
}, async () => {
  const { names, run, slow, strike } = await raiseStage()
  try {
    const ctrlC = new AbortController()
    const connecting = run('exec valetkey connect openai --key-stdin', `${names['slow-key']}\n`, ctrlC.signal)
    await slow.asked
    ctrlC.abort()
    expect(await connecting).toEqual({ printed: 'cancelled\n', exit: 130 })

    slow.letGo()
    await pause(LET_THE_BROKER_HEAR_MS)
    const { printed } = await run('valetkey accounts', '')
    expect(printed).toBe('no accounts yet\n  hint: valetkey connect\n')
  } finally {
    await strike()
  }
})
