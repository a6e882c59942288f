import { ValetkeyError } from '#client'

type Library = typeof import('oidc-provider')

/** An optional package, asked for by name. */
export async function loadLibrary(): Promise<Library> {
  try {
    return await quietly(() => import('oidc-provider'))
  } catch (cause) {
    if (!isMissing(cause)) throw cause
    throw new ValetkeyError(
      'provider-not-configured',
      'the practice provider needs the package oidc-provider, which is not installed',
      { hint: 'npm install oidc-provider@9', cause },
    )
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND'
}

/**
 * On a Node that is not under long-term support the library says so on the console while it is
 * loaded, and has no setting against it. Whatever else is said meanwhile is let through.
 */
async function quietly<T>(load: () => Promise<T>): Promise<T> {
  const { console } = globalThis
  const { warn } = console
  const filtered = (...words: unknown[]) => {
    if (!String(words[0]).includes('oidc-provider WARNING: Unsupported runtime')) warn(...words)
  }
  console.warn = filtered
  try {
    return await load()
  } finally {
    if (console.warn === filtered) console.warn = warn
  }
}
