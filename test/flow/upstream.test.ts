import { describe, expect, it } from 'vitest';
import { defineTool, ToolError, Type, type PolicyInput } from '@callyard/worker';
import { principal, setup, toolCall } from '../support/setup.ts';

/** A tool behind which a service asks for patience once, and notes when it is asked again. */
function impatient(patienceMs: number, policy: PolicyInput = {}) {
  const starts: { at: number; user: string; running: number }[] = [];
  let running = 0;
  let asked: number | undefined;
  const tool = defineTool({
    name: 'impatient',
    version: '1.0.0',
    description: 'Asks for patience at its fifth call',
    parameters: Type.Object({}),
    policy,
    async handler(_args, ctx) {
      running += 1;
      const nth = starts.push({ at: performance.now(), user: ctx.principal.userId, running });
      await new Promise((resolve) => setImmediate(resolve));
      running -= 1;
      if (nth === 5) {
        asked = performance.now();
        throw new ToolError('slow down', { retry: { afterMs: patienceMs } });
      }
      return 'done';
    },
  });
  const since = () => starts.filter(({ at }) => asked !== undefined && at > asked);
  return { tool, starts, since, askedAt: () => asked ?? Number.NaN };
}

const other = defineTool({
  name: 'other',
  version: '1.0.0',
  description: 'Has nothing to do with it',
  parameters: Type.Object({}),
  handler: () => performance.now(),
});

describe('a service that asks for patience', () => {
  it('is left alone by every worker until then, while other tools go on', async () => {
    const yard = await setup();
    const { tool, since, askedAt } = impatient(300);
    await yard.worker([tool, other], { concurrency: 2 });
    await yard.worker([tool, other], { concurrency: 2 });
    const dispatcher = await yard.dispatcher();
    const calls = Array.from({ length: 30 }, () => toolCall('impatient'));
    const [busy, free] = await Promise.all([
      dispatcher.execute(calls, { principal }),
      dispatcher.execute([toolCall('other'), toolCall('other')], { principal }),
    ]);
    expect(busy.outcomes.every(({ status, attempts }) => status === 'completed' && attempts === 1)).toBe(true);
    expect(free.outcomes.every(({ status }) => status === 'completed')).toBe(true);
    // Four slots: what runs at that moment ends, nothing else begins.
    const inside = since().filter(({ at }) => at < askedAt() + 295);
    expect(inside.length).toBeLessThanOrEqual(3);
    expect(since().length).toBeGreaterThan(20);
  });

  it('is tried by one call alone after that, and by all once it has come through', async () => {
    const yard = await setup();
    const { tool, since, askedAt } = impatient(200);
    await yard.worker([tool], { concurrency: 10 });
    const dispatcher = await yard.dispatcher();
    const calls = Array.from({ length: 40 }, () => toolCall('impatient'));
    await dispatcher.execute(calls, { principal });
    const after = since().filter(({ at }) => at >= askedAt() + 195);
    expect(after[0]?.running).toBe(1);
    expect(after[1]?.running).toBe(1);
    expect(after.length).toBeGreaterThan(20);
  });

  it('blocks one user only where each user brings a key', async () => {
    const yard = await setup();
    const { tool, starts } = impatient(60_000, { upstreamKey: 'user' });
    await yard.worker([tool], { concurrency: 1 });
    const dispatcher = await yard.dispatcher();
    const calls = Array.from({ length: 10 }, () => toolCall('impatient'));
    const ends = async (userId: string) => {
      const { outcomes } = await dispatcher.execute(calls, { principal: { owner: 'acme', userId }, timeoutMs: 10_000 });
      return new Set(outcomes.map(({ error, status }) => error?.code ?? status));
    };
    const [ofMia, ofMax] = await Promise.all(['mia', 'max'].map(ends));
    const [blocked, free] = starts[4]?.user === 'mia' ? [ofMia, ofMax] : [ofMax, ofMia];
    expect(free).toEqual(new Set(['completed']));
    expect(blocked).toContain('rate_limited');
  });

  it('refuses at once what would start after the deadline, and says when to try again', async () => {
    const yard = await setup();
    const { tool } = impatient(60_000);
    await yard.worker([tool], { concurrency: 1 });
    const dispatcher = await yard.dispatcher();
    const calls = Array.from({ length: 10 }, () => toolCall('impatient'));
    const { outcomes } = await dispatcher.execute(calls, { principal, timeoutMs: 5_000 });
    const refused = outcomes.filter(({ error }) => error?.code === 'rate_limited');
    expect(refused).toHaveLength(5);
    expect(refused[0]?.error?.retryAfterMs).toBeGreaterThan(50_000);
  });
});
