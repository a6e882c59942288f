import type { KeySourceKind } from '#client'
import { ValetkeyError } from '#client'
import type { KeySource } from '../model/vault.ts'
import { commandSource } from './sources/command.ts'
import { environmentSource } from './sources/environment.ts'
import { fileSource } from './sources/file.ts'
import { passphraseSource } from './sources/passphrase.ts'
import type { Told } from './vault.ts'

export interface Surroundings {
  /** Never the folder of the vault, so a copied vault does not bring its key along. */
  readonly keyFolder: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** The program that wraps and unwraps, where the configuration names one. No other is ever run. */
  readonly command?: string | undefined
}

/** Every source of a master key there is, by its name. */
export function keySources({ keyFolder, env, command }: Surroundings) {
  return (kind: KeySourceKind, told: Told): KeySource => {
    switch (kind) {
      case 'passphrase':
        return passphraseSource(told.passphrase)
      case 'file':
        return fileSource(keyFolder)
      case 'environment':
        return environmentSource(env)
      case 'command':
        return commandSource(configured(command, told.command))
    }
  }
}

function configured(command: string | undefined, told: string | undefined): string {
  if (command === undefined)
    throw new ValetkeyError('config-invalid', 'no program is named that wraps and unwraps the key', {
      hint: 'set keyCommand in the configuration to its whole path, and start valetkey again',
    })
  if (told !== undefined && told !== command)
    throw new ValetkeyError('config-invalid', 'this is not the program that the configuration names', {
      hint: 'set keyCommand in the configuration to its whole path, and start valetkey again',
    })
  return command
}
