import { renderUnicodeCompact } from 'uqr'
import { type FlowSession, type FlowStep, formatAddress } from '#client'
import type { Terminal } from './terminal.ts'

type EnterCode = Extract<FlowStep, { ask: 'enter-code' }>

/**
 * The code that is entered elsewhere, where that is, and what comes of it. Codes are sent to people by those who
 * want to be let in to their accounts, so it is said as well who asks with this one (RFC 8628 §5.4).
 */
export function codeInWords(
  { provider, bucket }: FlowSession,
  { code, at, whole, device = 'Valetkey' }: EnterCode,
  terminal: Pick<Terminal, 'interactive' | 'width' | 'paint'>,
): readonly string[] {
  const address = formatAddress({ provider: provider ?? 'an account', bucket })
  return [
    `enter the code ${terminal.paint('bold', code)} at ${at}`,
    ...picture(whole ?? at, terminal),
    `  this connects ${address} to ${device}`,
    '  enter it only if you began this yourself: nobody else has a reason to send you a code',
  ]
}

/** For a phone at hand; nothing that does not stand there in words as well. */
function picture(link: string, { interactive, width = 0 }: Pick<Terminal, 'interactive' | 'width'>) {
  if (!interactive) return []
  const lines = renderUnicodeCompact(link, { ecc: 'L', border: 2 }).split('\n')
  const widest = Math.max(...lines.map((line) => line.length))
  return widest + 2 > width ? [] : ['', ...lines.map((line) => `  ${line}`), '']
}
