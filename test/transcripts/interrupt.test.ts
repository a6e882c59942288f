import { setTimeout as pause } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { raiseStage } from './stage.ts'

/** Less than the provider may take over its answer. */
const PROMPTLY_MS = 10_000
const LET_THE_BROKER_HEAR_MS = 500

it('ctrl-c while the provider is asked leaves no account, no stack and exit code 130', {
  timeout: 60_000,
}, async () => {
  const { names, run, slow, strike } = await raiseStage()
  try {
    const ctrlC = new AbortController()
    const connecting = run('exec valetkey connect openai --key-stdin', `${names['slow-key']}\n`, ctrlC.signal)
    await Promise.race([slow.asked, connecting])
    const pressed = Date.now()
    ctrlC.abort()
    expect(await connecting).toEqual({ printed: 'cancelled\n', exit: 130 })

    expect(Date.now() - pressed).toBeLessThan(PROMPTLY_MS)

    slow.letGo()
    await pause(LET_THE_BROKER_HEAR_MS)
    const { printed } = await run('valetkey accounts', '')
    expect(printed).toBe('no accounts yet\n  hint: valetkey connect\n')
  } finally {
    await strike()
  }
})
