import { writeFileSync } from 'node:fs'
import { z } from 'zod'
import { providerSchema } from '../model/provider.ts'

// Run by hand when the schema changed: node src/providers/write-schema.ts

export const SCHEMA_FILE = new URL('./provider.schema.json', import.meta.url)

/** The schema of a provider file, for the editors of people who write their own. */
export function schemaText(): string {
  const schema = z.toJSONSchema(providerSchema, { io: 'input' })
  return `${JSON.stringify({ ...schema, title: 'A provider of Valetkey' }, null, 2)}\n`
}

if (import.meta.main) writeFileSync(SCHEMA_FILE, schemaText())
