import * as loaded from 'jsqr'

type Read = (pixels: Uint8ClampedArray, width: number, height: number) => { readonly data: string } | null

/** The library is one function, which some loaders hand out as its default. */
function reader(): Read {
  let found: unknown = loaded
  while (typeof found === 'object' && found !== null && 'default' in found) found = found.default
  return found as Read
}

/** What a phone makes of a picture, four bytes a pixel; undefined where it finds no QR code. */
export function scan(pixels: Uint8ClampedArray, width: number, height: number): string | undefined {
  return reader()(pixels, width, height)?.data
}
