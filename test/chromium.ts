import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { arch, platform } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import packed, { inflate } from '@sparticuz/chromium'
import { type Browser, chromium } from 'playwright-core'

/** Unpacked once, and not among what a test run leaves behind to be looked through. */
const CACHE = fileURLToPath(new URL('../node_modules/.cache/valetkey-chromium/', import.meta.url))

const LIBRARIES = [
  '/lib',
  '/usr/lib',
  '/lib64',
  '/usr/lib64',
  `/usr/lib/${arch() === 'x64' ? 'x86_64' : 'aarch64'}-linux-gnu`,
]

/** Why no browser can be started here, if so. */
export const noChromium =
  platform() === 'linux' && arch() === 'x64'
    ? undefined
    : `no Chromium comes along for ${platform()} ${arch()}`

/** The package's own options switch off what a browser defends against other sites; that is to be seen here. */
const OPTIONS = ['--no-sandbox', '--no-zygote', '--font-render-hinting=none', '--disable-gpu']

export async function openChromium(...more: readonly string[]): Promise<Browser> {
  const folder = await unpacked()
  const bare = !LIBRARIES.some((place) => existsSync(join(place, 'libnss3.so')))
  const env = {
    ...process.env,
    ...(bare && { LD_LIBRARY_PATH: join(folder, 'al2023', 'lib') }),
    FONTCONFIG_PATH: join(folder, 'fonts'),
  }
  return await chromium.launch({ executablePath: join(folder, 'chromium'), args: [...OPTIONS, ...more], env })
}

/** Under its name only when it is whole: two test files may ask for it at once. */
async function unpacked(): Promise<string> {
  const folder = join(CACHE, 'whole')
  if (existsSync(folder)) return folder
  await mkdir(CACHE, { recursive: true })
  const draft = await mkdtemp(join(CACHE, 'draft-'))
  await into(draft)
  await rename(draft, folder).catch(() => rm(draft, { recursive: true }))
  return folder
}

/** The package unpacks where temporary files go. */
async function into(draft: string): Promise<void> {
  const { TMPDIR } = process.env
  process.env['TMPDIR'] = draft
  try {
    const bin = fileURLToPath(new URL('../bin/', import.meta.resolve('@sparticuz/chromium')))
    await packed.executablePath(bin)
    await inflate(join(bin, 'al2023.tar.br'))
  } finally {
    if (TMPDIR === undefined) delete process.env['TMPDIR']
    else process.env['TMPDIR'] = TMPDIR
  }
}
