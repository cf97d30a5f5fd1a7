import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { defineTool, Type } from '@callyard/worker';
import { readOnlySql, type ReadOnlySql } from '@callyard/worker/toolkit';

let orders: ReadOnlySql | undefined;

/** Builds the sample in a file that has no name any more once it is open, so nothing is left behind. */
function openSample(): ReadOnlySql {
  const folder = mkdtempSync(join(tmpdir(), 'callyard-orders-'));
  const file = join(folder, 'orders.db');
  const sample = new DatabaseSync(file);
  sample.exec(readFileSync(new URL('./lib/sample.sql', import.meta.url), 'utf8'));
  sample.close();
  const opened = readOnlySql({ file });
  rmSync(folder, { recursive: true });
  return opened;
}

export const queryOrders = defineTool({
  name: 'query_orders',
  version: '1.0.0',
  description:
    'Runs one SQLite SELECT on customers(id, name, city) and orders(id, customer_id, item, amount, status, ordered_on)',
  category: 'orders',
  parameters: Type.Object({ sql: Type.String({ minLength: 1, maxLength: 4_000 }) }, { additionalProperties: false }),
  // A query that never ends holds up no worker: its process is killed.
  policy: { effects: 'none', timeoutMs: 5_000, isolate: true },
  handler({ sql }) {
    orders ??= openSample();
    return { rows: orders.query(sql) };
  },
});
