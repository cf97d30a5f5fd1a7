import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';

/**
 * A port that nobody listens on, below those that a system gives to whoever asks for any: it is still free when the process
 * it is for has started.
 */
export async function freePort(): Promise<number> {
  const port = randomInt(10_000, 32_768);
  const server = createServer();
  try {
    await once(server.listen(port, '127.0.0.1'), 'listening');
  } catch {
    return freePort();
  }
  server.close();
  await once(server, 'close');
  return port;
}

/** One line of `/metrics`. */
interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

/** What a process shows of itself. */
export interface Scraped {
  text: string;
  samples: Sample[];
  /** of the samples of this name that have these labels */
  sum(name: string, labels?: Record<string, string>): number;
}

export async function scrape(port: number): Promise<Scraped> {
  const response = await fetch(`http://127.0.0.1:${port}/metrics`);
  const text = await response.text();
  const samples = text.split('\n').flatMap((line) => sampleIn(line) ?? []);
  const sum = (name: string, labels: Record<string, string> = {}): number =>
    samples
      .filter((sample) => sample.name === name && has(sample, labels))
      .reduce((total, { value }) => total + value, 0);
  return { text, samples, sum };
}

function sampleIn(line: string): Sample | undefined {
  const [, name, labels = '', value] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
  if (name === undefined) return undefined;
  const pairs = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, label = '', text = '']) => [label, text]);
  return { name, labels: Object.fromEntries(pairs) as Record<string, string>, value: Number(value) };
}

const has = ({ labels }: Sample, wanted: Record<string, string>): boolean =>
  Object.entries(wanted).every(([label, value]) => (labels[label] ?? '') === value);
