import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, it } from 'vitest'
import { leave } from '../../test/leave.ts'
import { readBuiltIn } from './built-in.ts'

it('reads the one built file where there is one', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'valetkey-'))
  try {
    const [first, ...others] = readBuiltIn()
    expect(others.length).toBeGreaterThan(0)
    await writeFile(join(folder, 'catalogue.json'), JSON.stringify([first]))
    await writeFile(join(folder, 'other.json'), 'not read')
    expect(readBuiltIn(pathToFileURL(`${folder}/`))).toEqual([first])
  } finally {
    await leave(folder)
  }
})
