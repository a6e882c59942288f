import type { Command } from 'commander'
import { usage } from '../failure.ts'
import { quoted, suggestion } from '../words.ts'

/** A command with commands of its own, and a word that is none of them. */
export function refuseUnknownWord(command: Command, word: string | undefined): void {
  if (word === undefined) return
  const known = command.commands.map((inner) => inner.name())
  throw usage(`${command.name()} has no command ${quoted(word)}`, suggestion(word, known))
}
