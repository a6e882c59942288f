import { ValetkeyError } from '#client'
import { fits } from '../model/provider/forms.ts'
import type { Catalogue, Provider, ProviderFile } from '../model/provider.ts'
import { authorityOf } from './authority.ts'
import { destinationOf } from './destination.ts'
import { nameFor } from './naming.ts'
import { parseProvider, readProvider } from './read.ts'
import { unusable } from './unusable.ts'
import { calledBy, seenBy, waysOf } from './ways.ts'

export interface CatalogueSources {
  readonly builtIn: readonly ProviderFile[]
  /** The owner's own files; one of them may stand in the place of a built-in with the same id. */
  readonly own: readonly { readonly file: string; readonly text: string }[]
  /** By provider: the origin that the operator put in the provider's place. */
  readonly origins: Readonly<Record<string, string>>
  /** Puts a file among the owner's own, or in the place of one of them; nothing is kept where it is left out. */
  readonly write?: (file: string, text: string) => Promise<void>
}

/** All providers of this installation. Throws `config-invalid` for what it cannot use. */
export function openCatalogue({ builtIn, own, origins, write }: CatalogueSources): Catalogue {
  const ours = builtIn.map((file) => parseProvider(`${file.id}.json`, file))
  let known = knownOf(
    ours,
    own.map(({ file, text }) => ({ file, provider: readProvider(file, text) })),
  )
  const standIns = readOrigins(origins, known.byId)
  const find = (name: string, flow?: string) => {
    const named = known.byId.get(name) ?? known.byAlias.get(name)
    const found = named ?? known.byWay.get(name)
    return found && flow !== undefined ? seenBy(found, flow) : found
  }

  async function keep(file: ProviderFile): Promise<Provider> {
    if (known.isBuiltIn(file.id)) throw taken(file.id)
    const others = known.theirs.filter(({ provider }) => provider.id !== file.id)
    const before = known.theirs.find(({ provider }) => provider.id === file.id)
    const at = before?.file ?? `${file.id}.json`
    const mine = { file: at, provider: parseProvider(at, file) }
    // Known from this moment on, so that nobody else takes the name while the file is written.
    known = knownOf(ours, [...others, mine])
    try {
      await write?.(at, `${JSON.stringify(file, null, 2)}\n`)
    } catch (error) {
      const now = known.theirs.filter((one) => one !== mine)
      known = knownOf(ours, before === undefined ? now : [...now, before])
      throw error
    }
    return mine.provider
  }

  return {
    list: () => [...known.byId.values()],
    find,
    recognise: (key) => onlyOne([...known.byId.values()].filter((provider) => isKeyOf(provider, key))),
    isBuiltIn: (id) => known.isBuiltIn(id),
    destination: (provider, vars) => destinationOf(provider, vars, standIns.get(provider.id)),
    authority: (provider, vars) => authorityOf(provider, vars, standIns.get(provider.id)),
    freeName: (url) => nameFor(url, (name) => find(name) === undefined),
    keep,
  }
}

function knownOf(ours: readonly Provider[], theirs: readonly Own[]) {
  const byId = index(ours, theirs)
  const all = [...byId.values()]
  const yours = new Set(theirs.map(({ provider }) => provider.id))
  return {
    theirs,
    byId,
    byAlias: new Map(all.flatMap((one) => one.aliases.map((alias) => [alias, one] as const))),
    byWay: new Map(all.flatMap((one) => waysOf(one).map((way) => [way, calledBy(one, way)] as const))),
    isBuiltIn: (id: string) => byId.has(id) && !yours.has(id),
  }
}

function taken(id: string): ValetkeyError {
  return new ValetkeyError('conflict', `${id} is the name of a provider that comes with valetkey`, {
    hint: 'choose another name',
  })
}

type Own = { readonly file: string; readonly provider: Provider }

function index(ours: readonly Provider[], theirs: readonly Own[]): ReadonlyMap<string, Provider> {
  refuseDuplicates(ours, theirs)
  const all = [...ours, ...theirs.map(({ provider }) => provider)]
  return new Map(all.map((provider) => [provider.id, provider]))
}

const WAY = 'signIns.called'

// A name belongs to one of the owner's files only, and an alias never takes a built-in's name away. The name of
// a built-in's way in gives way to a provider of the owner's own.
function refuseDuplicates(ours: readonly Provider[], theirs: readonly Own[]): void {
  const taken = new Map<string, string>()
  const replaced = new Set(theirs.map(({ provider }) => provider.id))
  const left = ours.filter(({ id }) => !replaced.has(id))
  const kept = left.flatMap(({ id, aliases }) => [id, ...aliases])
  const ways = left.flatMap(waysOf)
  for (const { file, provider } of theirs) {
    for (const [field, name] of namesOf(provider)) {
      if (taken.has(name)) throw unusable(file, `${field} "${name}" is already used by ${taken.get(name)}`)
      if (kept.includes(name) || (field === WAY && ways.includes(name)))
        throw unusable(file, `${field} "${name}" is the name of a built-in provider`)
      taken.set(name, file)
    }
  }
}

/** By the field in which it stands. A way in may share its name with others of the same provider. */
function namesOf(provider: Provider): readonly (readonly [string, string])[] {
  const { id, aliases } = provider
  return [
    ['id', id],
    ...aliases.map((name, at) => [`aliases[${at}]`, name] as const),
    ...waysOf(provider).map((name) => [WAY, name] as const),
  ]
}

/** A stand-in for nobody is refused: its writer believes that requests go there, and they would not. */
function readOrigins(
  origins: Readonly<Record<string, string>>,
  byId: ReadonlyMap<string, Provider>,
): ReadonlyMap<string, URL> {
  return new Map(
    Object.entries(origins).map(([id, origin]) => {
      if (!byId.has(id)) throw badOrigin(id, 'there is no such provider')
      const url = URL.parse(origin)
      if (!url || !/^https?:$/.test(url.protocol) || url.href !== `${url.origin}/`)
        throw badOrigin(id, 'must be an origin, such as http://127.0.0.1:4010')
      return [id, url]
    }),
  )
}

function badOrigin(id: string, words: string): ValetkeyError {
  return new ValetkeyError('config-invalid', `the stand-in for ${id}: ${words}`, {
    hint: 'valetkey providers shows the ids',
  })
}

function isKeyOf(provider: Provider, key: string): boolean {
  return provider.signIns.some(({ recognise }) => recognise !== undefined && fits(recognise, key))
}

function onlyOne(found: readonly Provider[]): Provider | undefined {
  return found.length === 1 ? found[0] : undefined
}
