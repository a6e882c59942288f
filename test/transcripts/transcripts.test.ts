import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { inWordsOf, readScript } from './script.ts'
import { raiseStage, type Stage } from './stage.ts'

const folder = new URL('./', import.meta.url)
const scripts = readdirSync(folder).filter((name) => name.endsWith('.txt'))
const ONE_STORY_MS = 240_000

describe('at the terminal, word for word', () => {
  for (const name of scripts) {
    it.concurrent(`${name.replace('.txt', '').replaceAll('-', ' ')}`, { timeout: ONE_STORY_MS }, async () => {
      const stage = await raiseStage()
      try {
        await playThrough(stage, readFileSync(new URL(name, folder), 'utf8'))
      } finally {
        await stage.strike()
      }
    })
  }

  it('is told in stories that were found', () => {
    expect(scripts.length).toBeGreaterThan(5)
  })
})

async function playThrough({ names, run }: Stage, text: string): Promise<void> {
  const exchanges = readScript(text)
  expect(exchanges.length).toBeGreaterThan(0)
  for (const { command, input, printed, exit } of exchanges) {
    const outcome = await run(filledIn(command, names), filledIn(input, names))
    const said = inWordsOf(printed, named(outcome.printed, names))
    expect([`$ ${command}`, ...said, `[exit ${outcome.exit}]`]).toEqual([
      `$ ${command}`,
      ...printed,
      `[exit ${exit}]`,
    ])
  }
}

function filledIn(text: string, names: Stage['names']): string {
  return text.replaceAll(/<([a-z-]+)>/g, (whole, name) => names[name] ?? whole)
}

/** Where a value of the stage was printed, its name is put; so no secret stands in a failure either. */
function named(text: string, names: Stage['names']): string {
  return Object.entries(names).reduce((told, [name, value]) => told.replaceAll(value, `<${name}>`), text)
}
