import type { Duplex } from 'node:stream'
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib'
import type { AnswerHead } from '../../model/network.ts'

const DECODERS: Readonly<Record<string, () => Duplex>> = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
  zstd: createZstdDecompress,
}
const MOST_CODINGS = 3

/** How a body was packed, the last coding first; nothing for a plain one. */
export function codingsOf({ headers }: AnswerHead): readonly string[] {
  const said = headers
    .filter(([name]) => name === 'content-encoding')
    .flatMap(([, value]) => value.split(','))
  const codings = said.map((coding) => coding.trim().toLowerCase())
  return codings.filter((coding) => coding !== '' && coding !== 'identity').toReversed()
}

/** What takes these codings off a body; undefined for one that is not known. */
export function decodersFor(codings: readonly string[]): readonly Duplex[] | undefined {
  if (codings.length > MOST_CODINGS || !codings.every((coding) => Object.hasOwn(DECODERS, coding)))
    return undefined
  return codings.flatMap((coding) => DECODERS[coding]?.() ?? [])
}

/** What says how the body was packed, and how long it was so. */
export function isOfPacking([name]: readonly [string, string]): boolean {
  return name === 'content-encoding' || name === 'content-length'
}
