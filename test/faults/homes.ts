import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Desk } from '#client'
import { visitorOf } from '../../src/practice/visitor.ts'
import { type RealHome, realHome } from '../real.ts'
import type { LonePractice } from './practice.ts'

/** Loaded before a process: at every SIGUSR2 its clock jumps a minute ahead. */
export const LATE_CLOCK = new URL('../journeys/children/late-clock.ts', import.meta.url).href

/** A home that knows a practice provider, which stands where its file says. */
export async function practiceHome(
  { file, origin, clientId }: LonePractice & { readonly clientId?: string },
  env: NodeJS.ProcessEnv = {},
): Promise<RealHome> {
  const home = await realHome({ allow: [origin.host] }, env)
  const folder = join(home.home, 'config', 'providers')
  const oauth = { ...file.oauth, clientId: clientId ?? 'valetkey-practice' }
  await mkdir(folder, { mode: 0o700 })
  await writeFile(join(folder, 'practice.json'), JSON.stringify({ ...file, oauth }), { mode: 0o600 })
  return home
}

/** Alice signs in, in a browser; what is handed out lives for so many seconds. */
export async function connectAt(
  desk: Pick<Desk, 'connect' | 'flow'>,
  { origin }: LonePractice,
  {
    bucket = 'default',
    seconds = 30,
  }: { readonly bucket?: string; readonly seconds?: 5 | 30 | 300 | 3600 } = {},
): Promise<void> {
  const { id, step } = await desk.connect({ provider: 'practice', bucket })
  if (step?.ask !== 'visit') throw new Error(`it asks for ${step?.ask}`)
  await fetch(await visitorOf({ origin }).consent(new URL(step.url), { seconds }))
  const { state, failure } = await desk.flow(id)
  if (state !== 'done') throw new Error(`the sign-in is ${state}: ${failure?.detail}`)
}
