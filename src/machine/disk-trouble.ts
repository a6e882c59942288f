import { ValetkeyError } from '#client'

export function errnoOf(error: unknown): string | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : undefined
}

/** What the disk says, in our words. */
export function diskTrouble(error: unknown, path: string): ValetkeyError {
  if (error instanceof ValetkeyError) return error
  switch (errnoOf(error)) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new ValetkeyError('disk-full', `no room is left to write ${path}`, {
        hint: 'make room on the disk and try again',
        cause: error,
      })
    case 'EROFS':
    case 'EACCES':
    case 'EPERM':
      return new ValetkeyError('read-only', `${path} may not be written`, {
        hint: 'set VALETKEY_HOME to a folder that you may write',
        cause: error,
      })
    case 'EEXIST':
    case 'ENOTDIR':
      return unsafe(`something else lies where ${path} belongs`, 'move it away and try again')
    case 'ENOENT':
      return unsafe(`the way to ${path} leads nowhere`, 'look for a broken symbolic link on it')
    case 'ELOOP':
      return unsafe(`${path} is a symbolic link`, `replace ${path} by what it points to`)
    default:
      return new ValetkeyError('internal-error', `${path} could not be used`, { cause: error })
  }
}

export function unsafe(message: string, hint: string): ValetkeyError {
  return new ValetkeyError('unsafe-folder', message, { hint })
}
