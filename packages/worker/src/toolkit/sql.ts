import { DatabaseSync, constants, type SQLInputValue } from 'node:sqlite';
import { ToolError } from '@callyard/shared/failure';

export interface ReadOnlySqlOptions {
  /** path of an SQLite database */
  file: string;
  /** a query with more rows is refused; default 200 */
  maxRows?: number;
}

export interface ReadOnlySql {
  /** The rows of one SELECT. Integers beyond 2^53 come as text. */
  query(sql: string, parameters?: readonly SQLInputValue[]): Record<string, unknown>[];
  close(): void;
}

/** What a statement may do: read tables and call functions; nothing else is even prepared. */
const allowed = new Set<number>([
  constants.SQLITE_SELECT,
  constants.SQLITE_READ,
  constants.SQLITE_FUNCTION,
  constants.SQLITE_RECURSIVE,
]);
/** No row and no value may be longer: `randomblob(1e9)` would fill the memory. Node before 25.8 has no such limit. */
const maxLength = 2 ** 20;
/** A query gives back no more than this: rows of many long values would fill the memory too. */
const maxBytes = 2 ** 20;
const maxColumns = 100;
const refusedFunctions = new Set(['load_extension', 'readfile', 'writefile', 'edit', 'fts3_tokenizer']);

/**
 * SELECTs on an SQLite database and nothing else: opened read-only, and SQLite's authorizer refuses every other action
 * while it prepares a statement. SQLite runs in this thread, so a query that computes for long holds the whole worker
 * up: give such a tool `policy.isolate`, whose timeout kills it.
 * @throws ToolError
 */
export function readOnlySql({ file, maxRows = 200 }: ReadOnlySqlOptions): ReadOnlySql {
  const database = new DatabaseSync(file, { readOnly: true, allowExtension: false, limits: { length: maxLength } });
  database.setAuthorizer((action, _table, name) => {
    const harmless =
      allowed.has(action) &&
      !(action === constants.SQLITE_FUNCTION && refusedFunctions.has(String(name).toLowerCase()));
    return harmless ? constants.SQLITE_OK : constants.SQLITE_DENY;
  });
  return {
    query(sql, parameters = []) {
      try {
        return rowsOf(database, sql, parameters, maxRows);
      } catch (error) {
        if (error instanceof ToolError) throw error;
        const why = error instanceof Error ? error.message : String(error);
        throw new ToolError(`The query cannot be run: ${why}.`, { retry: isBusy(error) ? 'backoff' : 'never' });
      }
    },
    close: () => database.close(),
  };
}

function rowsOf(database: DatabaseSync, sql: string, parameters: readonly SQLInputValue[], maxRows: number) {
  const statement = database.prepare(sql);
  // SQLite prepares the first statement and says nothing of a second.
  if (statement.sourceSQL.length < sql.trimEnd().length) throw new ToolError('Only one statement is run at a time.');
  if (statement.columns().length > maxColumns) throw new ToolError(`More than ${maxColumns} columns.`);
  statement.setReadBigInts(true);
  const rows: Record<string, unknown>[] = [];
  let bytes = 0;
  for (const row of statement.iterate(...parameters)) {
    bytes += Object.values(row).reduce<number>((sum, value) => sum + sizeOf(value), 0);
    if (bytes > maxBytes) throw new ToolError(`More than ${maxBytes} bytes.`, { suggestion: 'Select less.' });
    if (rows.length === maxRows)
      throw new ToolError(`More than ${maxRows} rows.`, { suggestion: 'Add a LIMIT, or count.' });
    rows.push(Object.fromEntries(Object.entries(row).map(([name, value]) => [name, plain(value)])));
  }
  return rows;
}

/** Somebody writes to the database at the moment (SQLITE_BUSY). */
const isBusy = (error: unknown): boolean => error instanceof Error && 'errcode' in error && error.errcode === 5;

const sizeOf = (value: unknown): number =>
  typeof value === 'string' || value instanceof Uint8Array ? value.length : 8;

function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  return value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value;
}
