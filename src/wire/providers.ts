import { z } from '@hono/zod-openapi'
import type * as said from '#client'
import { field } from './flows.ts'
import type { Whole } from './whole.ts'

const ownClient = z
  .strictObject({
    flow: z.string(),
    redirectUri: z.string(),
    scopes: z.array(z.string()),
    console: z.string().nullable(),
    minutes: z.number().int().nullable(),
    note: z.string().nullable(),
    asks: z.array(field),
  })
  .openapi('OwnClient') satisfies Whole<said.OwnClient>

const variables = z.array(z.string())

const programs = z
  .strictObject({
    token: variables,
    fields: z.record(z.string(), variables),
    baseUrl: z.strictObject({ variables, path: z.string() }).nullable(),
    key: variables,
  })
  .openapi('Programs') satisfies Whole<said.Programs>

export const providerCard = z
  .strictObject({
    id: z.string(),
    name: z.string(),
    category: z.string(),
    flows: z.array(z.string()),
    hosts: z.array(z.string()),
    needs: z.enum(['nothing', 'own-client']),
    ownClient: ownClient.nullable(),
    programs: programs.nullable(),
    from: z.enum(['built-in', 'yours']),
  })
  .openapi('Provider') satisfies Whole<said.ProviderCard>
