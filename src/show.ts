import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Receipt } from '#client'
import { playDemo } from './demo/demo.ts'
import type { DemoReport } from './demo/report.ts'
import { harden } from './machine/harden.ts'
import { openPractice } from './practice/practice.ts'
import { deskOver, own } from './reach.ts'
import { serve } from './serve.ts'

interface Wish {
  readonly programs: number
  tell(line: string): Promise<void>
}

/** Plays the demo in a home of its own, of which nothing is left afterwards. */
export async function showDemo(wish: Wish): Promise<DemoReport<Receipt>> {
  harden()
  const practice = await openPractice()
  const folder = await mkdtemp(join(tmpdir(), 'valetkey-demo-'))
  try {
    const { PATH, TMPDIR } = process.env
    const serving = await serve({ home: folder, env: { PATH, TMPDIR } }, { practice })
    const { desk } = deskOver(own(serving).fetch)
    return await playDemo({ ...wish, desk, practice, folder }).finally(() => serving.close())
  } finally {
    await practice.close()
    await rm(folder, { recursive: true, force: true })
  }
}
