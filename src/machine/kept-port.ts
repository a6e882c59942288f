import { keepFile, readOwn } from './files.ts'

/** The port that programs were told of, so that they find whoever comes next there as well. */
export interface KeptPort {
  read(): Promise<number | undefined>
  keep(port: number): Promise<void>
}

const PORT = /^[1-9]\d{3,4}$/

export function keptPort(file: string): KeptPort {
  async function read(): Promise<number | undefined> {
    const bytes = await readOwn(file).catch(() => undefined)
    const text = Buffer.from(bytes ?? []).toString('latin1')
    return PORT.test(text) && Number(text) <= 65_535 ? Number(text) : undefined
  }

  return {
    read,
    async keep(port) {
      if ((await read()) !== port) await keepFile(file, String(port))
    },
  }
}
