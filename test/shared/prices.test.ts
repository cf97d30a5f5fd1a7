import { describe, expect, it } from 'vitest';
import { costOf, loadPrices, PricesError, readPrices } from '@callyard/shared/prices';
import { folderWith } from '../support/temporary-folder.ts';

const prices = readPrices({
  currency: 'USD',
  models: {
    plain: { inputPerMillion: 2.5, outputPerMillion: 10 },
    cached: { inputPerMillion: 2.5, cachedInputPerMillion: 0.25, outputPerMillion: 10 },
  },
});

describe('prices', () => {
  it.each([
    ['plain', { inputTokens: 1_000_000, outputTokens: 100_000 }, 3.5],
    ['plain', { inputTokens: 1_000_000, cachedInputTokens: 1_000_000, outputTokens: 0 }, 2.5],
    ['cached', { inputTokens: 1_000_000, cachedInputTokens: 400_000, outputTokens: 0 }, 1.6],
    ['cached', { inputTokens: 10, cachedInputTokens: 400_000, outputTokens: 0 }, 0.0000025],
  ])('%s: %o cost %d', (model, usage, cost) => {
    expect(costOf(model, usage, prices)).toBeCloseTo(cost, 10);
  });

  it('are of the models they name, and of no other', () => {
    for (const model of ['dear', 'constructor', '__proto__']) {
      expect(costOf(model, { inputTokens: 1, outputTokens: 1 }, prices)).toBeUndefined();
    }
  });

  it.each([
    [{}, /\/: .*currency/],
    [{ currency: 'dollars', models: {} }, /\/currency: /],
    [
      { currency: 'USD', models: { m: { inputPerMillion: -1, outputPerMillion: 1 } } },
      /\/models\/m\/inputPerMillion: /,
    ],
    [{ currency: 'USD', models: { m: { inputPerMillion: 1 } } }, /\/models\/m: .*outputPerMillion/],
    [{ currency: 'USD', models: { m: { inputPerMillion: 1, outputPerMillion: 1, input: 2 } } }, /\/models\/m: .*input/],
  ])('%j are refused by the place that is wrong', (data, message) => {
    expect(() => readPrices(data)).toThrow(message);
  });

  it('say which file cannot be used', async () => {
    const folder = await folderWith({ cut: '{"currency": "USD"', whole: '{"currency": "USD", "models": {}}' });
    expect(() => loadPrices(`${folder}/none`)).toThrow(PricesError);
    expect(() => loadPrices(`${folder}/cut`)).toThrow(`the prices in ${folder}/cut cannot be used`);
    expect(loadPrices(`${folder}/whole`)).toEqual({ currency: 'USD', models: {} });
  });
});
