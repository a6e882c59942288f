import { ValetkeyError } from './error.ts'

const PURPOSE = /^[\x20-\x7e]{0,200}$/

/** What a caller says that a use is for, as it may be kept and shown; null where nothing was said. */
export function readPurpose(text = ''): string | null {
  if (PURPOSE.test(text)) return text.trim() || null
  throw new ValetkeyError('invalid-request', 'this purpose cannot be kept', {
    hint: 'say it in at most 200 printable ASCII characters',
  })
}
