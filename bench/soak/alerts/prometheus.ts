import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '../../../test/support/scrape.ts';

const deploy = new URL('../../../deploy/prometheus/', import.meta.url);

/** Series that a query finds, by their labels. */
interface Series {
  metric: Record<string, string>;
  value: [time: number, value: string];
}

export interface Prometheus {
  query(expression: string): Promise<Series[]>;
  /** Says where the processes of a job are; without any the job has none. */
  setTargets(job: string, ports: readonly number[]): void;
  stop(): Promise<void>;
}

/** The jobs of our configuration that find their targets by name. */
const jobs = ['worker', 'dispatcher', 'load'];

/**
 * A real Prometheus with our configuration and our rules: targets are read from files instead of names, and every time
 * in a rule is 30 times shorter, but never so short that a rate has nothing to go by.
 */
export async function startPrometheus(): Promise<Prometheus> {
  const folder = mkdtempSync(join(tmpdir(), 'callyard-prometheus-'));
  mkdirSync(join(folder, 'rules'));
  writeFileSync(join(folder, 'prometheus.yml'), configuration(folder));
  for (const name of readdirSync(new URL('rules/', deploy)))
    writeFileSync(join(folder, 'rules', name), withShortTimes(readFileSync(new URL(`rules/${name}`, deploy), 'utf8')));
  const setTargets = (job: string, ports: readonly number[]): void => {
    const targets = ports.map((port) => `127.0.0.1:${port}`);
    writeFileSync(join(folder, `${job}.json`), JSON.stringify(targets.length > 0 ? [{ targets }] : []));
  };
  for (const job of jobs) setTargets(job, []);
  const port = await freePort();
  const flags = ['--config.file=prometheus.yml', '--storage.tsdb.path=data', `--web.listen-address=127.0.0.1:${port}`];
  const server = spawn('prometheus', flags, { cwd: folder, stdio: 'ignore' });
  const url = `http://127.0.0.1:${port}`;
  await ready(url);
  return {
    setTargets,
    async query(expression) {
      const answer = await fetch(`${url}/api/v1/query?query=${encodeURIComponent(expression)}`);
      const { data, error } = (await answer.json()) as { data?: { result: Series[] }; error?: string };
      if (!data) throw new Error(`${expression}: ${error}`);
      return data.result;
    },
    async stop() {
      server.kill('SIGTERM');
      await once(server, 'exit');
      rmSync(folder, { recursive: true });
    },
  };
}

function configuration(folder: string): string {
  const ours = readFileSync(new URL('prometheus.yml', deploy), 'utf8');
  return ours
    .replaceAll(/(scrape|evaluation)_interval: \S+/g, '$1_interval: 1s')
    .replaceAll(
      /dns_sd_configs: \[\{ names: \[(\w+)\].*$/gm,
      (_, job) => `file_sd_configs: [{ files: ['${join(folder, `${job}.json`)}'] }]`,
    );
}

const secondsOf: Record<string, number> = { s: 1, m: 60, h: 3_600 };

function withShortTimes(rules: string): string {
  const short = (count: string, unit: string, least: number) =>
    `${Math.min(30, Math.max(least, Math.round((Number(count) * (secondsOf[unit] ?? 1)) / 30)))}s`;
  return rules
    .replaceAll(/\[(\d+)([smh])\]/g, (_, count, unit) => `[${short(count, unit, 5)}]`)
    .replaceAll(/offset (\d+)([smh])/g, (_, count, unit) => `offset ${short(count, unit, 5)}`)
    .replaceAll(/for: (\d+)([smh])/g, (_, count, unit) => `for: ${short(count, unit, 1)}`);
}

async function ready(url: string): Promise<void> {
  const until = performance.now() + 30_000;
  while (performance.now() < until) {
    const answers = await fetch(`${url}/-/ready`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (answers) return;
    await delay(100);
  }
  throw new Error(`no Prometheus at ${url}: is the program "prometheus" there?`);
}
