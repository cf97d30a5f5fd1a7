import { DeadLetterError, type DeadLetter, type DeadLetters } from '@callyard/dispatcher';
import { filterFrom, selectionFrom, type FilterOptions } from './dead-options.ts';
import { retryAndCount, type RetryCounts, type RetrySettings } from './dead-retry-counts.ts';
import { operator } from './operator.ts';
import { renderTable } from './table.ts';
import { UsageError } from './usage-error.ts';
import { withDispatcher, type DispatcherUse } from './with-dispatcher.ts';

interface Json {
  json?: boolean;
}

const sending: DispatcherUse = { sends: true };

/** Rows of a table: each page has columns of its own width, so that a long list needs no memory. */
const rowsPerTable = 100;

/** `callyard dead list`: one line for each letter, newest first. */
export function deadListCommand({ limit, json, ...filter }: FilterOptions & Json & { limit: number }): Promise<void> {
  return withLetters(async (letters) => {
    let shown = 0;
    let rows: string[][] = [];
    for await (const letter of letters.list(filterFrom(filter))) {
      if (shown++ === limit) {
        console.error(`There are more; these are the newest ${limit}. --limit shows others.`);
        break;
      }
      if (json) console.log(JSON.stringify(letter));
      else rows.push(rowOf(letter));
      if (rows.length === rowsPerTable) rows = printRows(rows);
    }
    if (rows.length > 0) printRows(rows);
    if (shown === 0 && !json) console.log('no dead letters');
  });
}

/** `callyard dead show KEY`: everything that is known of one. */
export function deadShowCommand(key: string, { json }: Json): Promise<void> {
  return withLetters(async (letters) => {
    const letter = await letters.show(key);
    console.log(JSON.stringify(letter, null, json ? 0 : 2));
  });
}

export interface RetryCommand extends FilterOptions, RetrySettings, Json {
  all?: boolean;
}

/** `callyard dead retry`: each as a new call, and what became of them. */
export function deadRetryCommand(keys: string[], { json, ...options }: RetryCommand): Promise<void> {
  return withLetters(async (letters) => {
    const report = (line: string) => console.error(line);
    const counts = await retryAndCount(letters, selectionFrom(keys, options), { ...options, by: operator() }, report);
    console.log(json ? JSON.stringify(counts) : describeCounts(counts));
    if (counts.failed + counts.refused + counts.cancelled > 0) process.exitCode = 1;
  }, sending);
}

/** `callyard dead drop`: removes them for good. */
export function deadDropCommand(keys: string[], { json, ...options }: FilterOptions & Json & { all?: boolean }) {
  return withLetters(async (letters) => {
    const dropped = await letters.drop(selectionFrom(keys, options), { by: operator() });
    console.log(json ? JSON.stringify({ dropped }) : `${dropped} dropped`);
  });
}

async function withLetters(work: (letters: DeadLetters) => Promise<void>, use?: DispatcherUse): Promise<void> {
  try {
    await withDispatcher('callyard-dead', ({ deadLetters }) => work(deadLetters), use);
  } catch (error) {
    throw error instanceof DeadLetterError ? new UsageError(error.message) : error;
  }
}

const head = ['KEY', 'TOOL', 'OWNER/USER', 'CODE', 'AGE', 'ATTEMPTS', 'RETRY', 'MESSAGE'];

function rowOf({ key, tool, principal, error, failedAt, attempts, retry }: DeadLetter): string[] {
  return [
    key,
    `${tool.name}@${tool.version}`,
    `${principal.owner}/${principal.userId}`,
    error.code,
    age(Date.now() - failedAt),
    String(attempts),
    retry ? `${retry.key.slice(retry.key.lastIndexOf('~'))} ${retry.state}` : '',
    oneLine(error.message),
  ];
}

/** Prints a table, and returns the rows of the next. */
function printRows(rows: readonly string[][]): string[][] {
  console.log(renderTable([head, ...rows]));
  return [];
}

const longestMessage = 80;

function oneLine(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ');
  return line.length > longestMessage ? `${line.slice(0, longestMessage - 1)}…` : line;
}

function age(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1_000));
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m`;
  return seconds < 172_800 ? `${Math.floor(seconds / 3_600)}h` : `${Math.floor(seconds / 86_400)}d`;
}

function describeCounts({ retried, skipped, dryRun, ...ends }: RetryCounts): string {
  const counted = Object.entries(ends).flatMap(([end, count]) => (count > 0 ? `${count} ${end}` : []));
  const reasons = Object.entries(skipped).map(([reason, count]) => `${count} ${reason}`);
  return [
    `${retried} ${dryRun ? 'would be retried' : 'retried'}${counted.length > 0 ? `: ${counted.join(', ')}` : ''}`,
    ...(reasons.length > 0 ? [`left alone: ${reasons.join(', ')}`] : []),
  ].join('\n');
}
