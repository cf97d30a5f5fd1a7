import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, onTestFinished } from 'vitest';
import { findProgram } from './find-program.ts';
import { freePort } from './scrape.ts';
import { folderWith } from './temporary-folder.ts';

/** Debian: `apt-get install --no-install-recommends prometheus`. Without it the tests that need it are skipped. */
export const hasPrometheus = findProgram('prometheus') !== undefined;

export interface Prometheus {
  /** What an expression says now: the value of each series, with its labels. */
  query(expression: string): Promise<{ labels: Record<string, string>; value: number }[]>;
}

interface Answer {
  data: { result: { metric: Record<string, string>; value: [number, string] }[] };
}

/** A real Prometheus that reads these ports each second, by job; resolves when it has read all of them. */
export async function startPrometheus(jobs: Record<string, readonly number[]>, rules?: string): Promise<Prometheus> {
  const port = await freePort();
  const folder = await folderWith({
    'prometheus.yml': JSON.stringify({
      global: { scrape_interval: '1s', evaluation_interval: '1s' },
      ...(rules === undefined ? {} : { rule_files: [rules] }),
      scrape_configs: Object.entries(jobs).map(([job, ports]) => ({
        job_name: job,
        static_configs: [{ targets: ports.map((one) => `127.0.0.1:${one}`) }],
      })),
    }),
  });
  const where = [`--config.file=${folder}/prometheus.yml`, `--storage.tsdb.path=${folder}/data`];
  const child = spawn('prometheus', [...where, `--web.listen-address=127.0.0.1:${port}`], { stdio: 'ignore' });
  const exited = once(child, 'exit');
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await exited;
  });

  const query = async (expression: string) => {
    const url = `http://127.0.0.1:${port}/api/v1/query?${new URLSearchParams({ query: expression }).toString()}`;
    const { data } = (await (await fetch(url)).json()) as Answer;
    return data.result.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) }));
  };
  const targets = Object.values(jobs).flat().length;
  const up = () => query('sum(up)').catch(() => []);
  await expect.poll(up, { timeout: 20_000 }).toMatchObject([{ value: targets }]);
  return { query };
}
