import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { createLogger } from '@callyard/shared/log';
import { openRedis } from '@callyard/shared/redis';
import { playLoad } from '../../packages/cli/src/load/load.ts';
import { createMixture } from '../../packages/cli/src/load/mixture.ts';
import { causes, type Cause, type Yard } from './alerts/causes.ts';
import { startAlertFleet } from './alerts/fleet.ts';
import { panelQueries, withoutData } from './alerts/panels.ts';
import { startPrometheus, type Prometheus } from './alerts/prometheus.ts';

const callsPerSecond = 60;
/** Long enough for every panel to have two samples of everything that the load does. */
const loadMs = 45_000;
const firesWithinMs = 150_000;
const everyMs = 500;

const alertNames = (): string[] => {
  const rules = readFileSync(new URL('../../deploy/prometheus/rules/callyard.yml', import.meta.url), 'utf8');
  return [...rules.matchAll(/- alert: (\w+)/g)].map(([, name = '']) => name);
};

/** Metrics that Jaeger makes of spans; there is none here. */
const ofJaeger = (expression: string): boolean => expression.includes('traces_span_metrics_');

/**
 * Under a real Prometheus with shorter times each alert fires when what it is about happens, and none under plain load;
 * and every panel shows something, if not under load then when something is wrong.
 */
export async function soakAlerts(redisUrl: string): Promise<boolean> {
  const prometheus = await startPrometheus();
  const fleet = await startAlertFleet(redisUrl, prometheus);
  const redis = await openRedis({ url: redisUrl, name: 'soak', log: createLogger({ name: 'soak', level: 'silent' }) });
  try {
    const stop = new AbortController().signal;
    const log = (line: string) => console.error(line);
    const mixture = createMixture(callsPerSecond);
    await playLoad(fleet.dispatcher, mixture, { callsPerSecond, durationMs: loadMs, stop, log });
    const early = await firing(prometheus);
    let empty = await withoutData(
      prometheus,
      panelQueries().filter(({ expression }) => !ofJaeger(expression)),
    );
    const emptyUnderLoad = empty.map(({ about }) => about);
    const fired: Record<string, number> = {};
    for (const cause of causes) {
      Object.assign(fired, await provoke(cause, { fleet, redis }, prometheus));
      empty = await withoutData(prometheus, empty);
    }
    const silent = alertNames().filter((name) => fired[name] === undefined);
    const panels = { emptyUnderLoad, alwaysEmpty: empty.map(({ about }) => about) };
    console.log(JSON.stringify({ soak: 'alerts', fired, silent, firedUnderLoad: early, ...panels }));
    return silent.length === 0 && early.length === 0 && empty.length === 0;
  } finally {
    redis.disconnect();
    await fleet.stop();
    await prometheus.stop();
  }
}

/** Resolves with the seconds each alert took; one that did not fire in time is left out. */
async function provoke(cause: Cause, yard: Yard, prometheus: Prometheus): Promise<Record<string, number>> {
  const fired: Record<string, number> = {};
  const startedAt = performance.now();
  await cause.begin?.(yard);
  while (performance.now() - startedAt < firesWithinMs) {
    for (const name of await firing(prometheus))
      if (cause.alerts.includes(name)) fired[name] ??= Math.round((performance.now() - startedAt) / 1_000);
    if (Object.keys(fired).length === cause.alerts.length) break;
    await cause.again?.(yard);
    await delay(everyMs);
  }
  await cause.end?.(yard);
  console.error(`${cause.alerts.join(', ')}: ${JSON.stringify(fired)}`);
  return fired;
}

const firing = async ({ query }: Prometheus): Promise<string[]> =>
  (await query('count by (alertname) (ALERTS{alertstate="firing"})')).map(({ metric }) => metric.alertname ?? '');
