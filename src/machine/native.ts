import { createRequire } from 'node:module'

/** The kernel calls that are made here. Numbers are the C library's own. */
export interface Native {
  getsockopt(fd: number, level: number, name: number, value: Uint8Array, length: [number]): number
  /** Only on Linux. */
  readonly prctl: ((option: number, a: number, b: number, c: number, d: number) => number) | undefined
  setrlimit(resource: number, limit: Uint8Array): number
}

/** The part of koffi that is used here. */
interface Koffi {
  load(path: string | null): { func(prototype: string): (...args: never[]) => number }
}

let loaded: Native | undefined
let tried = false

/** Undefined where the system or the installation has no such calls; then callers must fail closed. */
export function native(): Native | undefined {
  if (!tried) {
    tried = true
    loaded = load()
  }
  return loaded
}

function load(): Native | undefined {
  if (process.platform === 'win32') return undefined
  try {
    const koffi = createRequire(import.meta.url)('koffi') as Koffi
    const c = koffi.load(null)
    const long = 'unsigned long'
    return {
      getsockopt: c.func(
        'int getsockopt(int fd, int level, int name, _Out_ void *value, _Inout_ uint32_t *length)',
      ) as Native['getsockopt'],
      setrlimit: c.func('int setrlimit(int resource, const void *limit)') as Native['setrlimit'],
      prctl:
        process.platform === 'linux'
          ? (c.func(`int prctl(int option, ${long} a, ${long} b, ${long} c, ${long} d)`) as Native['prctl'])
          : undefined,
    }
  } catch {
    return undefined
  }
}
