import { describe, expect, it } from 'vitest';
import { meteredFleet } from '../support/metered-fleet.ts';
import { hasPrometheus, startPrometheus } from '../support/prometheus.ts';
import { proposes, says, toolCall } from '../support/setup.ts';

describe.skipIf(!hasPrometheus)('a real Prometheus, where there is one (Debian: apt-get install prometheus)', () => {
  it('reads every process, and answers what dashboards ask', { timeout: 60_000 }, async () => {
    const { run, ports, workerPorts } = await meteredFleet(2);
    const { query } = await startPrometheus({ dispatcher: ports.slice(0, 1), worker: workerPorts });
    const value = async (expression: string) => (await query(expression))[0]?.value;
    await run([
      proposes(toolCall('echo', { text: 'a' }), toolCall('breaks', { text: 'b' }), toolCall('stumbles')),
      says('Done.'),
    ]);
    await expect.poll(() => value('sum(callyard_calls_total)'), { timeout: 10_000 }).toBe(3);
    expect(await value('sum(callyard_calls_total{outcome="completed"}) / sum(callyard_calls_total)')).toBeCloseTo(
      2 / 3,
    );
    expect(await value('sum by (error_type) (callyard_calls_total{outcome="failed"})')).toBe(1);
    expect(await value('histogram_quantile(0.95, sum by (le) (callyard_call_duration_bucket))')).toBeGreaterThan(0);
    expect(await value('count(target_info{service_name="callyard-worker"})')).toBe(2);
    expect(await query('callyard_worker_slots')).toHaveLength(2);
    // Two processes never show the same series: job and instance tell them apart.
    const scraped = await query('scrape_samples_scraped');
    expect(scraped).toHaveLength(3);
    expect(scraped.every(({ value: samples }) => samples > 20 && samples < 2_000)).toBe(true);
  });
});
