import { plainOnLine } from './chat/plain-text.ts';

/** Rows as columns of equal width, the first row as the head. A cell may hold what a model or a tool has said. */
export function renderTable(given: readonly (readonly string[])[]): string {
  const rows = given.map((row) => row.map(plainOnLine));
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
