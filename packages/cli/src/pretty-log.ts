import { styleText } from 'node:util';
import type { DestinationStream } from 'pino';
import { plainText } from './chat/plain-text.ts';

/** What stands in front of a line, or says nothing on a terminal. */
const apart = new Set(['time', 'level', 'msg', 'event', 'name', 'pid', 'hostname', 'trace_flags', 'span_id', 'err']);

const colours = { debug: 'gray', info: 'green', warn: 'yellow', error: 'red', fatal: 'magenta' } as const;

/** Lines for people: time, level, event, text, then the other fields; an error with its stack below. */
export function prettyLines(write: (text: string) => void, isColoured: boolean): DestinationStream {
  const paint = (style: Parameters<typeof styleText>[0], text: string) =>
    isColoured ? styleText(style, text, { validateStream: false }) : text;
  return {
    write(line) {
      const fields = JSON.parse(line) as Record<string, unknown>;
      const level = String(fields.level);
      const colour = colours[level as keyof typeof colours] ?? 'white';
      const start = [paint('gray', timeOf(fields.time)), paint(colour, level.toUpperCase().padEnd(5))];
      const rest = Object.entries(fields).filter(([name]) => !apart.has(name));
      const parts = [...start, paint('bold', textIn(fields.event)), textIn(fields.msg)];
      const told = rest.map(([name, value]) => paint('gray', `${textIn(name)}=${textIn(value)}`));
      write(`${[...parts, ...told].filter((part) => part !== '').join(' ')}\n${stackOf(fields.err)}`);
    },
  };
}

/** Of the day, on the clock of the machine. */
function timeOf(time: unknown): string {
  const date = new Date(String(time));
  const two = (value: number, width = 2) => String(value).padStart(width, '0');
  const clock = [date.getHours(), date.getMinutes(), date.getSeconds()].map((value) => two(value)).join(':');
  return `${clock}.${two(date.getMilliseconds(), 3)}`;
}

/** On one line, and without what a terminal would take for commands. */
const textIn = (value: unknown): string =>
  plainText(typeof value === 'string' ? value : (JSON.stringify(value) ?? '')).replaceAll(/\s+/g, ' ');

function stackOf(error: unknown): string {
  if (error === undefined) return '';
  const { stack, message } = Object(error) as { stack?: string; message?: string };
  const lines = (stack ?? message ?? textIn(error)).split('\n');
  return lines.map((line) => `    ${plainText(line)}\n`).join('');
}
