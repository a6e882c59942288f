import type { Broker } from '../model/broker.ts'
import { type Caller, type CallerId, type Proof, THE_PERSON } from '../model/caller.ts'
import { type Check, tell } from './check.ts'
import { openDoorStage } from './door-stage.ts'
import { asking } from './door-stories/asking.ts'
import { keeping } from './door-stories/keeping.ts'
import { narrowing } from './door-stories/narrowing.ts'
import type { OpenedDoor, Play } from './door-stories/play.ts'
import { signingIn } from './door-stories/signing-in.ts'
import { speaking } from './door-stories/speaking.ts'
import { standing } from './door-stories/standing.ts'
import { using } from './door-stories/using.ts'

export type { OpenedDoor } from './door-stories/play.ts'

/** Opens the door over a broker for one caller whom it has proved. */
export type OpenDoor = (broker: Broker, caller: Caller) => Promise<OpenedDoor>

/** What every door promises: the same verbs, the same words and the same refusals. */
export function doorContract(name: string, open: OpenDoor): void {
  tell(`the door contract, kept by ${name}`, doorChecks(open))
}

export function doorChecks(open: OpenDoor): readonly Check[] {
  const on = (name: string, story: (play: Play) => Promise<void>): Check => ({
    name,
    run: () => playing(open, story),
  })
  return [
    ...signingIn(on),
    ...using(on),
    ...standing(on),
    ...narrowing(on),
    ...asking(on),
    ...keeping(on),
    ...speaking(on),
  ]
}

async function playing(open: OpenDoor, story: (play: Play) => Promise<void>): Promise<void> {
  const stage = await openDoorStage()
  const doors: OpenedDoor[] = []
  const opened = async (id: CallerId, proof: Proof) => {
    const door = await open(stage.broker, { id, owner: THE_PERSON, proof })
    doors.push(door)
    return door
  }
  const as = (id: CallerId) => opened(id, { door: 'contract', uid: process.getuid?.() ?? 0 })
  const page = () => opened(THE_PERSON, { door: 'contract' })
  try {
    const owner = await as(THE_PERSON)
    const connect = () => owner.desk.connect({ provider: stage.provider, fields: { key: stage.key } })
    await story({ ...stage, owner, as, page, connect })
  } finally {
    for (const door of doors) await door.close?.()
    await stage.close()
  }
}
