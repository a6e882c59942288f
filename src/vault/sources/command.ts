import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { isAbsolute } from 'node:path'
import { ValetkeyError } from '#client'
import { Secret } from '../../model/secret.ts'
import type { KeySource, Remembered } from '../../model/vault.ts'
import { KEY_LENGTH } from '../envelope.ts'

const LIMIT_MILLISECONDS = 30_000
const MOST_BYTES = 65_536
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/

type Act = 'wrap' | 'unwrap'

/** Nothing of ours is told to it, least of all what another vault, or a database, is opened with. */
function environment(): NodeJS.ProcessEnv {
  const ours = (name: string) => /^(VALETKEY_|DATABASE_URL$)/i.test(name)
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !ours(name)))
}

function failed(program: string, act: Act, why: string, cause?: unknown): ValetkeyError {
  return new ValetkeyError('locked', `the command that keeps the key of the vault ${why}`, {
    hint: `the key is asked for with: ${program} ${act}; see by hand what it says`,
    cause,
  })
}

/** What a vault says of itself is proved only by its key, so a program that it names is compared and never run. */
function refuseOther(program: string, named: unknown): void {
  if (named === undefined || named === program) return
  throw new ValetkeyError(
    'config-invalid',
    `the vault names another command for its key than the configuration: ${JSON.stringify(named)}`,
    { hint: `${program} is the one that is run; name another as keyCommand only if you know it` },
  )
}

/** Whoever can change the program can read the key. */
async function judge(program: string, act: Act): Promise<void> {
  if (!isAbsolute(program))
    throw new ValetkeyError('config-invalid', 'the command that keeps the key has no absolute path', {
      hint: 'name it from the root on, without arguments',
    })
  const stats = await stat(program).catch((error: unknown) => {
    throw failed(program, act, 'is not there', error)
  })
  const me = process.getuid?.()
  if (me === undefined) return
  if ((stats.uid !== me && stats.uid !== 0) || (stats.mode & 0o022) !== 0)
    throw new ValetkeyError('unsafe-folder', 'others may change the command that keeps the key', {
      hint: `make it yours alone: chown and chmod go-w ${program}`,
    })
}

async function heard(child: ChildProcess): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of child.stdout ?? []) {
    bytes += chunk.length
    if (bytes > MOST_BYTES) throw new Error('it says too much')
    chunks.push(chunk)
  }
  const all = Buffer.concat(chunks)
  const text = all.toString('latin1').trim()
  for (const chunk of [...chunks, all]) chunk.fill(0)
  return text
}

function ending(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => (code === 0 ? resolve() : reject(new Error(`it ended with ${code}`))))
  })
}

/** One run without a shell; what it is told and what it answers is base64 on its two ends. */
async function run(program: string, act: Act, told: string): Promise<Buffer> {
  await judge(program, act)
  const child = spawn(program, [act], { stdio: ['pipe', 'pipe', 'ignore'], cwd: '/', env: environment() })
  let late: NodeJS.Timeout | undefined
  try {
    const limit = new Promise<never>((_, reject) => {
      late = setTimeout(() => reject(new Error('it took too long')), LIMIT_MILLISECONDS)
    })
    // A program that does not read its input is judged by what it says, not by the broken pipe.
    child.stdin?.on('error', () => undefined).end(`${told}\n`)
    const [text] = await Promise.race([Promise.all([heard(child), ending(child)]), limit])
    if (!BASE64.test(text)) throw new Error('it does not speak base64')
    return Buffer.from(text, 'base64')
  } catch (error) {
    throw failed(program, act, 'failed', error)
  } finally {
    clearTimeout(late)
    child.kill('SIGKILL')
    child.stdout?.destroy()
  }
}

/** The key is wrapped by another program: a KMS, a TPM, `age`. Only the wrapped key is kept. */
export function commandSource(program: string): KeySource {
  async function create() {
    const key = randomBytes(KEY_LENGTH)
    const wrapped = await run(program, 'wrap', key.toString('base64'))
    const remembered: Remembered = { command: program, wrapped: wrapped.toString('base64') }
    const found = await obtain(remembered)
    if (!Buffer.from(found.revealBytes()).equals(key))
      throw failed(program, 'unwrap', 'does not give back what it wrapped')
    key.fill(0)
    return { key: found, remembered }
  }

  async function obtain({ command, wrapped }: Remembered): Promise<Secret> {
    refuseOther(program, command)
    const key = await run(program, 'unwrap', String(wrapped))
    if (key.length !== KEY_LENGTH)
      throw new ValetkeyError('wrong-key', 'the command that keeps the key gave something else', {
        hint: `the key is asked for with: ${program} unwrap; it has to give 32 bytes as base64`,
      })
    const secret = new Secret(key)
    key.fill(0)
    return secret
  }

  return { kind: 'command', create, obtain }
}
