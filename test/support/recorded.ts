import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { dataFile } from '@callyard/shared/config';
import type { JsonSchema } from '@callyard/shared/schema';

/* The recorded calls of the data sets, which are read from where they lie and never copied. */

export interface RecordedCase {
  tools: { function: { name: string; parameters: JsonSchema } }[];
  tool_calls: { name: string; arguments: Record<string, unknown> }[];
}

interface RecordedConversation {
  messages: { role: string; content: string | null }[];
}

const folder = fileURLToPath(new URL('../../../shared/data/', import.meta.url));
const bfcl = dataFile('bfcl.jsonl', folder);
const airline = dataFile('tau-airline.jsonl', folder);

/** For `skipIf`, and for the title of what is skipped. */
export const noRecordedCalls = !existsSync(bfcl) || !existsSync(airline);
export const needsRecordedCalls = 'needs the recorded calls; CALLYARD_DATA_DIR names their folder';

const lines = (file: string): string[] => readFileSync(file, 'utf8').trim().split('\n');

export const recordedCases = (): RecordedCase[] => lines(bfcl).map((line) => JSON.parse(line) as RecordedCase);

export const recordedConversations = (): RecordedConversation['messages'][] =>
  lines(airline).map((line) => (JSON.parse(line) as RecordedConversation).messages);

export const recordedResults = (): string[] =>
  recordedConversations()
    .flat()
    .flatMap(({ role, content }) => (role === 'tool' && content !== null ? [content] : []));
