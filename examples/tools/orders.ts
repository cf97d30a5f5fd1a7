import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { defineTool, Type } from '@callyard/worker';
import { readOnlySql, type ReadOnlySql } from '@callyard/worker/toolkit';

let orders: ReadOnlySql | undefined;

/** Builds the sample once, in a folder that goes with the process. */
function openSample(): ReadOnlySql {
  const folder = mkdtempSync(join(tmpdir(), 'callyard-orders-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'orders.db');
  const sample = new DatabaseSync(file);
  sample.exec(readFileSync(new URL('./lib/sample.sql', import.meta.url), 'utf8'));
  sample.close();
  return readOnlySql({ file });
}

export const queryOrders = defineTool({
  name: 'query_orders',
  version: '1.0.0',
  description:
    'Runs one SQLite SELECT on customers(id, name, city) and orders(id, customer_id, item, amount, status, ordered_on)',
  category: 'orders',
  parameters: Type.Object({ sql: Type.String({ minLength: 1, maxLength: 4_000 }) }, { additionalProperties: false }),
  policy: { effects: 'none', timeoutMs: 2_000 },
  handler({ sql }) {
    orders ??= openSample();
    return { rows: orders.query(sql) };
  },
});
