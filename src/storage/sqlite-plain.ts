import type { Rows, TableName, Tables } from '../model/storage.ts'
import type { Statement } from './sqlite-dialect.ts'

interface PlainParts {
  /** A statement by its text. */
  readonly prepare: (sql: string) => Statement
  /** Who answers all that is not plain, and says what is a mistake. */
  readonly others: Rows
  readonly inWords: <R>(work: () => R) => Promise<R>
}

type Comparing = Readonly<Record<string | symbol, unknown>>

/** So many rows are put in one by one; more go together. */
const MOST_ONE_BY_ONE = 600
/** There are as many shapes as the code has questions. */
const MOST_SHAPES = 500

/**
 * Most questions compare columns with values, and nothing else. These are the same few texts over and over,
 * so they are written at once, without a query being built for them.
 */
export function plainly({ prepare, others, inWords }: PlainParts): Rows {
  const written = new Map<string, Statement>()

  /** The statement of a question of this shape; its text is written once. */
  function shaped(shape: string, text: () => string): Statement {
    const known = written.get(shape)
    if (known !== undefined) return known
    if (written.size >= MOST_SHAPES) written.clear()
    const made = prepare(text())
    written.set(shape, made)
    return made
  }

  function found<T extends TableName>(table: T, where: Comparing, limit = ''): Promise<Tables[T][]> {
    return inWords(() => {
      const text = () => `select * from "${table}" where ${comparing(where)}${limit}`
      const rows = shaped(`select ${table}${limit}${shapeOf(where)}`, text).all(valuesIn(where))
      return rows.map((row) => ({ ...(row as Tables[T]) }))
    })
  }

  return {
    async get(table, where) {
      if (!isPlain(where)) return await others.get(table, where)
      const [row] = await found(table, where, ' limit 1')
      return row
    },
    async list(table, where, options) {
      if (options !== undefined || !isPlain(where)) return await others.list(table, where, options)
      return await found(table, where)
    },
    async insert(table, rows) {
      const [first] = rows
      if (first === undefined || rows.length > MOST_ONE_BY_ONE || !areAlike(rows))
        return await others.insert(table, rows)
      await inWords(() => {
        const putting = shaped(`insert ${table}${Object.keys(first)}`, () => inserting(table, first))
        for (const row of rows) putting.run(Object.values(row))
      })
    },
    async update(table, where, set) {
      const values: unknown[] = Object.values(set)
      if (values.length === 0 || values.includes(undefined) || !isPlain(where))
        return await others.update(table, where, set)
      return await inWords(() => {
        const text = () => `update "${table}" set ${setting(set)} where ${comparing(where)}`
        const changing = shaped(`update ${table} ${Object.keys(set)}${shapeOf(where)}`, text)
        return Number(changing.run([...values, ...valuesIn(where)]).changes)
      })
    },
    remove: (table, where) => others.remove(table, where),
  }
}

function quoted(column: string): string {
  return `"${column.replaceAll('"', '""')}"`
}

function comparing(where: Comparing): string {
  const columns = Object.keys(where)
  return columns.map((one) => `${quoted(one)} ${where[one] === null ? 'is null' : '= ?'}`).join(' and ')
}

function setting(set: object): string {
  return Object.keys(set)
    .map((column) => `${quoted(column)} = ?`)
    .join(', ')
}

function inserting(table: string, row: object): string {
  const columns = Object.keys(row)
  return `insert into "${table}" (${columns.map(quoted).join(', ')}) values (${columns.map(() => '?').join(', ')})`
}

/** Two questions of one shape differ in their values alone. */
function shapeOf(where: Comparing): string {
  let shape = ''
  for (const column of Object.keys(where)) shape += where[column] === null ? ` ${column}!` : ` ${column}`
  return shape
}

function valuesIn(where: Comparing): unknown[] {
  return Object.values(where).filter((value) => value !== null)
}

/** One owner, and nothing but values. */
function isPlain(where: Comparing): boolean {
  if (typeof where['owner'] !== 'string') return false
  for (const column of Object.keys(where)) {
    const value = where[column]
    if (value === undefined) return false
    if (typeof value === 'object' && value !== null && !(value instanceof Uint8Array)) return false
  }
  return true
}

/** The same columns in the same order, and all of them told. */
function areAlike(rows: readonly object[]): boolean {
  const shape = rows.length > 1 ? Object.keys(rows[0] ?? {}).join(' ') : ''
  return rows.every(
    (row) =>
      !Object.values(row).includes(undefined) && (rows.length === 1 || Object.keys(row).join(' ') === shape),
  )
}
