import { monitor } from '../../test/support/redis-monitor.ts';
import { startsName } from './tools.ts';

/** What Redis shows of a call: it holds buckets from now on, or nothing any more, or its handler says that it has started. */
export type Entry = { call: string; /** Redis time, ms */ at: number } & (
  | { what: 'granted'; held: string[] }
  | { what: 'released' | 'started' }
);

export interface Watch {
  /** in the order in which Redis did it */
  readonly entries: Entry[];
  /** how often a worker took a call from `wait` */
  readonly pickUps: number;
  stop(): void;
}

/**
 * Watches the hash `out:<pool>`, the starts of counted tools and BullMQ's count of pick-ups of one installation. Most lines
 * are looked at for a word or two only, as there are dozens for each call.
 */
export async function watchGrants(redisUrl: string, tag: string): Promise<Watch> {
  const watch = { entries: [] as Entry[], pickUps: 0, stop: () => {} };
  watch.stop = await monitor(redisUrl, (line) => {
    if (!line.includes(tag)) return;
    if (line.includes(`"${tag}:out:`)) watch.entries.push(...readBooks(line));
    else if (line.includes(' "ats" "1"')) watch.pickUps += 1;
    else if (line.includes(`"${tag}:${startsName}"`)) watch.entries.push(...readStart(line));
  });
  return watch;
}

/**
 * Times of the grants under which handlers have started: for each start the last grant before it. One that grew old in `wait`
 * and was replaced before its call started is not among them.
 */
export function grantsOfStarts(entries: readonly Entry[], isMeant: (call: string) => boolean): number[] {
  const granted = new Map<string, number>();
  const grants: number[] = [];
  for (const { call, what, at } of entries) {
    if (what === 'granted') granted.set(call, at);
    if (what === 'started' && isMeant(call)) grants.push(granted.get(call) ?? at);
  }
  return grants.toSorted((a, b) => a - b);
}

const timeOf = (line: string): number => Number(/^\+?([\d.]+)/.exec(line)?.[1]) * 1_000;
const wordsOf = (line: string): string[] => [...line.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, word = '']) => word);

function readBooks(line: string): Entry[] {
  const at = timeOf(line);
  const [command, , ...rest] = wordsOf(line);
  if (command === 'HDEL') return rest.map((call) => ({ at, call, what: 'released' }));
  if (command !== 'HSET') return [];
  return rest.flatMap((call, i) => {
    if (i % 2 === 1) return [];
    const held = (rest[i + 1] ?? '').split(' ').slice(1);
    return [{ at, call, what: 'granted', held: held.map((one) => one.slice(0, one.indexOf('='))) }];
  });
}

function readStart(line: string): Entry[] {
  const [command, , start = ''] = wordsOf(line);
  return command === 'rpush' ? [{ at: timeOf(line), call: start.split(' ')[1] ?? '', what: 'started' }] : [];
}
