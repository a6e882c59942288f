import { existsSync, readdirSync, readFileSync } from 'node:fs'
import type { Provider } from '../model/provider.ts'
import { parseProvider, readProvider } from './read.ts'

const BUILT = 'catalogue.json'
const NOT_PROVIDERS = new Set([BUILT, 'provider.schema.json', 'clients.json'])

/** The providers that come with Valetkey: from one built file where there is one, else from this folder. */
export function readBuiltIn(folder: URL = new URL('./', import.meta.url)): readonly Provider[] {
  const built = new URL(BUILT, folder)
  if (!existsSync(built)) return readFolder(folder)
  const files: unknown[] = JSON.parse(readFileSync(built, 'utf8'))
  return files.map((file) => parseProvider(BUILT, file))
}

function readFolder(folder: URL): readonly Provider[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.json') && !NOT_PROVIDERS.has(file))
    .map((file) => file.slice(0, -'.json'.length))
    .toSorted()
    .map((id) => readProvider(`${id}.json`, readFileSync(new URL(`${id}.json`, folder), 'utf8')))
}
