import { describe, expect, it, onTestFinished } from 'vitest';
import { defineTool, Type } from '@callyard/worker';
import { play, playedModel } from '../support/played-model.ts';
import { redisProxy } from '../support/redis-proxy.ts';
import { principal, proposes, says, setup, toolCall } from '../support/setup.ts';

const { owner } = principal;
/** Installations a test has at once. */
const atOnce = 8;

const short = { lockMs: 1_000, stalledCheckMs: 300 };

/** Commands that concern a run, and the ends of transactions. */
const ofRun = (runId: string): RegExp => new RegExp(`${runId}|\\r\\nexec\\r\\n`);

/** A tool that counts how often each of its calls is started, and takes a while. */
function counting(effects: 'none' | 'at-most-once') {
  const starts = new Map<string, number>();
  const tool = defineTool({
    name: effects === 'none' ? 'effect' : 'effect_once',
    version: '1.0.0',
    description: 'Takes effect',
    parameters: Type.Object({ ms: Type.Integer() }),
    policy: { effects },
    async handler({ ms }, { idempotencyKey: key }) {
      starts.set(key, (starts.get(key) ?? 0) + 1);
      await new Promise((resolve) => setTimeout(resolve, ms));
      return key;
    },
  });
  return { tool, starts };
}

/** A run whose first dispatcher dies after the nth command that concerns the run, and its second one. */
async function dieAfter(nth: number, parkAfterMs: number) {
  const yard = await setup();
  const { tool, starts } = counting('none');
  const { tool: toolOnce, starts: startsOnce } = counting('at-most-once');
  await yard.worker([tool, toolOnce]);
  const proxy = await redisProxy(yard.redisUrl);
  const submitting = await yard.dispatcher();
  const calls = [toolCall('effect', { ms: 150 }), toolCall('effect_once', { ms: 100 }), toolCall('nothing')];
  const messages = play(proposes(...calls), proposes(toolCall('effect_once', { ms: 0 })), says('Done.'));
  const { runId } = await submitting.submit({ messages, principal, model: 'played', conversationId: 'c' });

  const recorded: number[] = [];
  const played = playedModel(yard.redis, yard.names);
  const model: typeof played = {
    ...played,
    async ask(request) {
      if ((await yard.redis.hexists(yard.names.run(runId), `r:${request.turn}`)) === 1) recorded.push(request.turn);
      return played.ask(request);
    },
  };
  const settings = { ...short, model, parkAfterMs };
  proxy.dieAfter(nth, ofRun(runId));
  const first = yard.dispatcher({ ...settings, redisUrl: proxy.url });
  onTestFinished(() => proxy.revive());
  const ended = submitting.wait(runId, { owner });
  await Promise.race([ended, proxy.cut]);
  await yard.dispatcher(settings);
  const run = await ended;
  const before = await yard.redis.hgetall(yard.names.run(runId));
  const hasDied = proxy.hasCut();
  proxy.revive();
  await first;
  await (await first).show(runId, { owner }); // after whatever it sends again
  return {
    run,
    hasDied,
    recorded,
    starts: [...starts.values(), ...startsOnce.values()],
    isUnchanged: JSON.stringify(await yard.redis.hgetall(yard.names.run(runId))) === JSON.stringify(before),
    conversation: await yard.redis.lrange(`${yard.names.conversation(owner, 'c')}:messages`, 0, -1),
    left: () =>
      Promise.all(['wait', 'active', 'delayed'].map((set) => yard.redis.exists(`${yard.names.tag}:runs:${set}`))),
  };
}

describe('a run whose dispatcher dies after any of its commands', () => {
  it.each([
    ['while its calls are waited for', 2, 60_000],
    ['while it is parked', 3, 50],
  ])('goes on as if nothing had happened, %s', { timeout: 120_000 }, async (_when, every, parkAfterMs) => {
    const ends: object[] = [];
    let deaths = 0;
    while (deaths === ends.length) {
      const batch = Array.from({ length: atOnce }, (_, i) => dieAfter((ends.length + i) * every + 1, parkAfterMs));
      for (const { run, hasDied, left, conversation, ...rest } of await Promise.all(batch)) {
        const outcomes = run.outcomes.map(({ status }) => status).join(' ');
        const said = conversation.map((text) => (JSON.parse(text) as { role: string }).role).join(' ');
        await expect.poll(left).toEqual([0, 0, 0]);
        ends.push({ state: run.state, outcomes, said, ...rest });
        if (hasDied) deaths += 1;
      }
    }
    const roles = 'user assistant tool tool tool assistant tool assistant';
    const fine = { state: 'completed', outcomes: 'completed completed refused completed', said: roles };
    expect(ends).toEqual(ends.map(() => ({ ...fine, recorded: [], starts: [1, 1, 1], isUnchanged: true })));
    expect(deaths * every).toBeGreaterThan(15);
  });
});

describe('a run whose dispatcher loses its connection after any of its commands', () => {
  it('goes on as if nothing had happened, and no call runs twice', { timeout: 120_000 }, async () => {
    const yard = await setup();
    const { tool, starts } = counting('none');
    await yard.worker([tool]);
    const submitting = await yard.dispatcher();
    const model = playedModel(yard.redis, yard.names);
    const calls = Array.from({ length: 3 }, () => toolCall('effect', { ms: 0 }));
    const breakAfter = async (nth: number) => {
      const proxy = await redisProxy(yard.redisUrl);
      const dispatcher = await yard.dispatcher({ model, redisUrl: proxy.url });
      const { runId } = await submitting.submit({
        messages: play(proposes(...calls), says('Done.')),
        principal,
        model: 'played',
      });
      proxy.cutAfter(nth, ofRun(runId));
      const { state, outcomes } = await submitting.wait(runId, { owner });
      const hasCut = proxy.hasCut();
      await dispatcher.close();
      return { hasCut, state, starts: outcomes.map(({ key }) => starts.get(key)) };
    };
    const ends: Awaited<ReturnType<typeof breakAfter>>[] = [];
    do ends.push(await breakAfter(ends.length + 1));
    while (ends.at(-1)?.hasCut);
    expect(ends.length).toBeGreaterThan(8);
    expect(ends).toEqual(ends.map(({ hasCut }) => ({ hasCut, state: 'completed', starts: [1, 1, 1] })));
  });
});
