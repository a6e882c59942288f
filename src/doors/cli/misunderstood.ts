import type { CommanderError } from 'commander'
import type { ValetkeyError } from '#client'
import { usage } from './failure.ts'
import { looksLikeKey } from './looks-like-key.ts'

/** What the parser stumbled over, in our voice. Of what was typed, only names are repeated. */
export function misunderstood({ code, message }: CommanderError, written: string): ValetkeyError {
  const name = nameIn(message)
  const near = /Did you mean (?:one of )?([^,?]+)/.exec(message)?.[1]
  const more = `${written}; --help tells more`
  switch (code) {
    case 'commander.unknownOption':
      return usage(`there is no option ${name}`, near === undefined ? more : `did you mean ${near}?`)
    case 'commander.missingArgument':
      return usage(`${name} is missing`, more)
    case 'commander.missingMandatoryOptionValue':
      return usage(`${name} is missing`, `${written} ${name}; --help tells more`)
    case 'commander.optionMissingArgument':
      return usage(`${name} wants a value`, more)
    case 'commander.excessArguments':
      return usage('there are more words than this command takes', more)
    default:
      return usage('this command is not whole', more)
  }
}

function nameIn(message: string): string {
  const quoted = /'([^']*)/.exec(message)?.[1] ?? ''
  const name = message.includes('unknown option') ? (quoted.split('=')[0] ?? '') : quoted
  return looksLikeKey(name) || name.length > 60 ? 'of that name' : name
}
