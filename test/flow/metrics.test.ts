import { describe, expect, it } from 'vitest';
import { meteredFleet } from '../support/metered-fleet.ts';
import { proposes, says, toolCall } from '../support/setup.ts';
import { scrape, type Scraped } from '../support/scrape.ts';
import { watchStarts } from '../support/starts.ts';
import { ended } from '../support/worker-process.ts';

const calls = 'callyard_calls_total';

/** The series of a page, but for those of the runtime: its kinds of garbage collection come when they come. */
const ours = (text: string): string[] =>
  [...text.matchAll(/^((?!v8js_|nodejs_)\w+\S*) \S+$/gm)].map(([, name = '']) => name);

/** The sum over processes, which is what a dashboard shows. */
async function whole(ports: readonly number[]): Promise<Pick<Scraped, 'sum' | 'text'>> {
  const each = await Promise.all(ports.map(scrape));
  return {
    text: each.map(({ text }) => text).join('\n'),
    sum: (name, labels) => each.reduce((total, { sum }) => total + sum(name, labels), 0),
  };
}

/** The same once these runs and all of their calls have been counted, which a process does a moment after it has told of them. */
async function counted(ports: readonly number[], of: { calls: number; runs: number }) {
  const read = async () => {
    const { sum } = await whole(ports);
    const underway = sum('callyard_worker_calls') + sum('callyard_dispatcher_runs');
    return { calls: sum(calls), runs: sum('callyard_runs_total'), underway };
  };
  await expect.poll(read).toEqual({ ...of, underway: 0 });
  return whole(ports);
}

const tool = (name: string) => ({ gen_ai_tool_name: name });

describe('the metrics of all processes together', { timeout: 40_000 }, () => {
  it('count each call once, by its tool and how it ended', async () => {
    const { run, ports } = await meteredFleet();
    const result = await run([
      proposes(...Array.from({ length: 8 }, (_, i) => toolCall('echo', { text: `${i}` }))),
      proposes(toolCall('stumbles'), toolCall('breaks', { text: 'x' }), toolCall('echo', { text: 7 })),
      proposes(toolCall('echo', '{"te'), toolCall('kept_echo', { text: 'a' })),
      proposes(toolCall('kept_echo', { text: 'a' }), ...Array.from({ length: 3 }, () => toolCall('narrow'))),
      says('Done.'),
    ]);
    expect(result).toMatchObject({ state: 'completed', outcomes: expect.objectContaining({ length: 17 }) as object });
    const { sum } = await counted(ports, { calls: 17, runs: 1 });
    expect(sum(calls, { ...tool('echo'), outcome: 'completed', error_type: '', class: 'interactive' })).toBe(8);
    expect(sum(calls, { ...tool('stumbles'), outcome: 'completed' })).toBe(1);
    expect(sum(calls, { ...tool('breaks'), outcome: 'failed', error_type: 'tool_error' })).toBe(1);
    expect(sum(calls, { outcome: 'refused', error_type: 'invalid_arguments' })).toBe(1);
    expect(sum(calls, { outcome: 'refused', error_type: 'malformed_arguments' })).toBe(1);
    expect(sum('callyard_call_duration_count')).toBe(17);
    expect(sum('callyard_call_retries_total', { ...tool('stumbles'), error_type: 'tool_error' })).toBe(1);
    expect(sum('gen_ai_execute_tool_duration_count', tool('stumbles'))).toBe(2);
    expect(sum('gen_ai_execute_tool_duration_count', { ...tool('stumbles'), error_type: 'tool_error' })).toBe(1);
    expect(sum('callyard_dead_letters_total', tool('breaks'))).toBe(1);
    expect(sum('callyard_cache_lookups_total', { ...tool('kept_echo'), result: 'miss' })).toBe(1);
    expect(sum('callyard_cache_lookups_total', { ...tool('kept_echo'), result: 'hit' })).toBe(1);
    // Two wait for the third. A worker that is late asks for its grant anew, and the call may wait once more.
    expect(sum('callyard_call_wait_duration_count', { reason: 'concurrency', per: 'user' })).toBeGreaterThanOrEqual(2);
    expect(sum('messaging_client_sent_messages_total')).toBe(17);
    expect(sum('messaging_client_consumed_messages_total')).toBeGreaterThanOrEqual(18);
    expect(sum('callyard_notice_lag_count')).toBe(17);
    expect(sum('callyard_runs_total', { state: 'completed', stop: 'answer' })).toBe(1);
    expect(sum('callyard_run_duration_count')).toBe(1);
    expect(sum('gen_ai_client_operation_duration_count', { gen_ai_request_model: 'played', error_type: '' })).toBe(5);
    expect(sum('gen_ai_client_token_usage_count', { gen_ai_token_type: 'output' })).toBe(5);
    expect(sum('callyard_worker_slots')).toBe(100);
  });

  it('are as many as before, whatever names a model thinks of', async () => {
    const { run, ports } = await meteredFleet(1);
    const unknown = (from: number) =>
      proposes(...Array.from({ length: 1_000 }, (_, i) => toolCall(`invented_${from + i}`)));
    await run([unknown(0), says('Done.')]);
    const before = await counted(ports, { calls: 1_000, runs: 1 });
    await run([unknown(1_000), says('Done.')]);
    const after = await counted(ports, { calls: 2_000, runs: 2 });
    expect(after.sum(calls, { ...tool('_OTHER'), outcome: 'refused' })).toBe(2_000);
    expect(ours(after.text)).toEqual(ours(before.text));
    expect(after.text).not.toContain('invented');
  });

  it('say nothing of arguments, results, users, conversations or runs', async () => {
    const { run, ports } = await meteredFleet(1);
    const secret = 'canary-7f3a';
    const lines: Parameters<typeof run>[0] = [
      proposes(toolCall('echo', { text: secret }), toolCall('breaks', { text: secret }), toolCall(secret)),
      says(secret),
    ];
    const { runId } = await run(lines, `${secret}-user`);
    const { text } = await counted(ports, { calls: 3, runs: 1 });
    expect(text).toContain('callyard_calls_total');
    expect(text).not.toContain(secret);
    expect(text).not.toContain(runId);
  });

  it('count a call whose worker was killed once, and as lost', async () => {
    const { yard, submit, client, ports, workerPorts, workers } = await meteredFleet(2, {}, './process-tools.ts');
    const starts = await watchStarts(yard);
    const runId = await submit([proposes(toolCall('long_nap_first')), says('Done.')]);
    await starts.reach(1);
    starts.stop();
    const key = `${runId}.0.0`;
    const [pid] = await yard.redis.lrange(`${yard.names.tag}:starts:${key}`, 0, -1);
    const victim = workers.findIndex((worker) => String(worker.pid) === pid);
    workers[victim]?.process.kill('SIGKILL');
    await ended(workers[victim]!);
    const run = await client.wait(runId, { owner: 'acme', signal: AbortSignal.timeout(15_000) });
    expect(run.outcomes).toMatchObject([{ status: 'completed', lost: 1 }]);
    const alive = ports.filter((port) => port !== workerPorts[victim]);
    const { sum } = await counted(alive, { calls: 1, runs: 1 });
    expect(sum('callyard_calls_lost_total', tool('long_nap_first'))).toBe(1);
  });
});
