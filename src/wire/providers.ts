import { z } from '@hono/zod-openapi'
import type * as said from '#client'
import { field } from './flows.ts'
import type { Each, Whole } from './whole.ts'

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

const wayIn = z
  .strictObject({
    flow: z.string(),
    label: z.string(),
    called: z.array(z.string()),
    scopes: z.array(z.string()),
    optionalScopes: z.array(z.strictObject({ name: z.string(), label: z.string() })),
    notice: z.string().nullable(),
    tried: z.enum({
      'by-itself': 'by-itself',
      'by-name': 'by-name',
      'not-here': 'not-here',
    } satisfies Each<said.WayIn['tried']>),
  })
  .openapi('WayIn') satisfies Whole<said.WayIn>

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
    aliases: z.array(z.string()),
    flows: z.array(z.string()),
    ways: z.array(wayIn),
    hosts: z.array(z.string()),
    needs: z.enum(['nothing', 'own-client']),
    ownClient: ownClient.nullable(),
    programs: programs.nullable(),
    from: z.enum(['built-in', 'yours']),
  })
  .openapi('Provider') satisfies Whole<said.ProviderCard>
