import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { playDemo } from './demo/demo.ts'
import type { DemoOptions, DemoTold } from './doors/cli/hands.ts'
import { harden } from './machine/harden.ts'
import { openPractice } from './practice/practice.ts'
import { deskOver, own } from './reach.ts'
import { serve } from './serve.ts'

/** Plays the demo in a home of its own, of which nothing is left afterwards. */
export async function showDemo(options: DemoOptions): Promise<DemoTold> {
  harden()
  const practice = await openPractice()
  const folder = await mkdtemp(join(tmpdir(), 'valetkey-demo-'))
  const leaveNothing = () => rmSync(folder, { recursive: true, force: true })
  // Also where ctrl-c ends it in the middle.
  process.once('exit', leaveNothing)
  try {
    const { PATH, TMPDIR } = process.env
    const serving = await serve({ home: folder, env: { PATH, TMPDIR } }, { practice })
    const { desk } = deskOver(own(serving).fetch)
    return await playDemo({ ...options, desk, practice, folder }).finally(() => serving.close())
  } finally {
    await practice.close()
    leaveNothing()
  }
}
