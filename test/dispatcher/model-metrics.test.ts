import { describe, expect, it } from 'vitest';
import { ModelError, type Model, type ModelResponse, type Usage } from '@callyard/dispatcher';
import { collecting } from '../support/collecting.ts';
import { principal, says, setup } from '../support/setup.ts';
import { folderWith } from '../support/temporary-folder.ts';

const messages = [{ role: 'user', content: 'go' }] as const;
const prices = { currency: 'EUR', models: { dear: { inputPerMillion: 10, outputPerMillion: 100 } } };

const model = (name: string, answer: () => Promise<Usage>): Model => ({
  name,
  provider: 'home-made',
  ask: async () => ({ message: says('Done.'), stop: 'answer', usage: await answer() }),
});

const at = { gen_ai_provider_name: 'home-made', gen_ai_operation_name: 'chat' };

describe('a question to a model', () => {
  it('is measured: its time, its tokens, and what they cost', async () => {
    const read = await collecting();
    const yard = await setup();
    const dispatcher = await yard.dispatcher({ prices });
    const usage = { inputTokens: 1_000, outputTokens: 300 };
    for (const name of ['dear', 'dear', 'free']) {
      await dispatcher.run({ messages, principal, model: model(name, async () => usage) });
    }
    const { sum } = await read();
    const dear = { ...at, gen_ai_request_model: 'dear' };
    expect(sum('gen_ai_client_operation_duration_count', { ...dear, error_type: '' })).toBe(2);
    expect(sum('gen_ai_client_token_usage_sum', { ...dear, gen_ai_token_type: 'input' })).toBe(2_000);
    expect(sum('gen_ai_client_token_usage_sum', { ...dear, gen_ai_token_type: 'output' })).toBe(600);
    expect(sum('callyard_model_cost_total', { gen_ai_request_model: 'dear', currency: 'EUR' })).toBeCloseTo(0.08);
    expect(sum('callyard_model_cost_total')).toBeCloseTo(0.08);
    expect(sum('callyard_runs_total', { state: 'completed', stop: 'answer' })).toBe(3);
  });

  it.each([[{}], [{ usage: {} }], [{ usage: { inputTokens: Number.NaN, outputTokens: 1 } }]])(
    'whose answer does not say what it took is counted once, without tokens, and fails no run: %j',
    async (said) => {
      const read = await collecting();
      const yard = await setup();
      const dispatcher = await yard.dispatcher({ prices });
      const answer = { message: says('Done.'), stop: 'answer', ...said } as unknown as ModelResponse;
      const silent: Model = { name: 'dear', provider: 'home-made', ask: async () => answer };
      const run = await dispatcher.run({ messages, principal, model: silent });
      expect(run).toMatchObject({ state: 'completed', text: 'Done.', usage: { inputTokens: 0, outputTokens: 0 } });
      const { sum } = await read();
      expect(sum('gen_ai_client_operation_duration_count')).toBe(1);
      expect(sum('gen_ai_client_operation_duration_count', { error_type: '' })).toBe(1);
      expect(sum('gen_ai_client_token_usage_count')).toBe(0);
      expect(sum('callyard_model_cost_total')).toBe(0);
    },
  );

  it.each([
    ['429', new ModelError('busy', { status: 429 })],
    ['model_error', new ModelError('odd')],
    ['model_error', new ModelError('odd', { status: 123_456 })],
  ])('that fails is counted as %s', async (type, error) => {
    const read = await collecting();
    const yard = await setup();
    const dispatcher = await yard.dispatcher();
    await dispatcher.run({ messages, principal, model: model('m', () => Promise.reject(error)) });
    const { sum } = await read();
    expect(sum('gen_ai_client_operation_duration_count', { ...at, error_type: type })).toBe(1);
    expect(sum('callyard_runs_total', { state: 'failed', stop: 'model_error' })).toBe(1);
  });

  it('has a price from the file of the settings, which is read before anything is asked', async () => {
    const folder = await folderWith({ 'prices.json': JSON.stringify(prices), 'wrong.json': '{"currency":"EUR"}' });
    const yard = await setup();
    await expect(yard.dispatcher({ pricesFile: `${folder}/wrong.json` })).rejects.toThrow(/wrong\.json cannot be used/);
    const read = await collecting();
    const dispatcher = await yard.dispatcher({ pricesFile: `${folder}/prices.json` });
    const usage = { inputTokens: 1_000, outputTokens: 0 };
    await dispatcher.run({ messages, principal, model: model('dear', async () => usage) });
    expect((await read()).sum('callyard_model_cost_total')).toBeCloseTo(0.01);
  });

  it('that its run did not wait for is no fault of the model', async () => {
    const read = await collecting();
    const yard = await setup();
    const dispatcher = await yard.dispatcher();
    const stop = new AbortController();
    const never = new Promise<never>(() => {});
    const asked: Model = {
      ...model('m', () => never),
      ask: ({ signal }) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason));
          stop.abort();
        }),
    };
    await dispatcher.run({ messages, principal, model: asked, signal: stop.signal });
    const { sum } = await read();
    expect(sum('gen_ai_client_operation_duration_count', { ...at, error_type: 'aborted' })).toBe(1);
    expect(sum('callyard_runs_total', { state: 'cancelled', stop: 'cancelled' })).toBe(1);
  });
});
