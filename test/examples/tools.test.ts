import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { loadTools } from '@callyard/worker';
import { evaluate } from '../../examples/tools/lib/expression.ts';
import { principal, setup, toolCall } from '../support/setup.ts';

const folder = fileURLToPath(new URL('../../examples/tools', import.meta.url));

describe('the calculator', () => {
  it.each([
    ['1 + 2 * 3', 7],
    ['(1 + 2) * 3', 9],
    ['2 ^ 3 ^ 2', 512],
    ['-2 ^ 2', -4],
    ['2 ^ -1', 0.5],
    ['10 - 4 - 3', 3],
    ['7 % 4 / 2', 1.5],
    ['max(1, sqrt(16), .5) - abs(-3)', 1],
    ['349 + 129.5', 478.5],
    ['2 + 3 - 4 * 6 / 8 % 2', 4],
    ['--2', 2],
    ['3 - -2', 5],
    ['3 * -2 ^ 2', -12],
    ['(-2) ^ 2', 4],
    ['2 ^ -1 ^ 2', 0.5],
    [' \t1\n+ 1 ', 2],
    ['min(3, 1, 2)', 1],
  ])('makes %s to %d', (expression, result) => {
    expect(evaluate(expression)).toBe(result);
  });

  it.each([
    ['1 +', 'ends too early'],
    ['1 2', 'Unexpected 2 at position 2'],
    ['2 $ 3', 'Cannot read "$ 3" at position 2'],
    ['', 'ends too early'],
    ['(1', 'ends too early'],
    ['1)', 'Unexpected ) at position 1'],
    ['1.2.3', 'Unexpected .3 at position 3'],
    ['2 3', 'Unexpected 3 at position 2'],
    ['min()', 'Unexpected ) at position 4'],
    ['sqrt 4', 'Unexpected 4 at position 5'],
    ['sqrt(4, 9)', 'sqrt takes one number, not 2'],
    ['1e3', 'Unexpected e at position 1'],
    ['process.exit()', 'Cannot read ".exit()" at position 7'],
    ['constructor(1)', 'Unexpected constructor'],
    ['('.repeat(60) + '1' + ')'.repeat(60), 'Nested deeper than 50'],
    ['1+'.repeat(600) + '1', 'longer than 1000'],
  ])('refuses %j', (expression, said) => {
    expect(() => evaluate(expression)).toThrow(said);
  });
});

it('the example tools all load, and do what they say', async () => {
  const yard = await setup();
  const { tools, failures } = await loadTools([folder]);
  expect(failures).toEqual([]);
  await yard.worker(tools);
  const dispatcher = await yard.dispatcher();
  const calls = [
    toolCall('calculate', { expression: '6 * 7' }),
    toolCall('time_in_zone', { zone: 'Europe/Oslo' }),
    toolCall('time_in_zone', { zone: 'Middle/Earth' }),
    toolCall('count_text', { text: 'One. Two three!' }),
    toolCall('query_orders', { sql: "SELECT item FROM orders WHERE status = 'returned'" }),
    toolCall('query_orders', { sql: 'DROP TABLE orders' }),
    toolCall('check_stock', { item: 'Tea kettle' }),
    toolCall('quote_shipping', { city: 'Oslo', kilograms: 2 }),
    toolCall('refund_order', { order: 1006 }),
  ];
  const { outcomes } = await dispatcher.execute(calls, { principal });
  expect(outcomes.map(({ status, error, attempts }) => [status, error?.code, attempts])).toEqual([
    ['completed', undefined, 1],
    ['completed', undefined, 1],
    ['failed', 'tool_error', 1],
    ['completed', undefined, 1],
    ['completed', undefined, 1],
    ['failed', 'tool_error', 1],
    ['completed', undefined, 2],
    ['completed', undefined, 1],
    ['refused', 'permission_denied', 0],
  ]);
  expect(outcomes[3]?.value).toEqual({ words: 3, characters: 15, sentences: 2 });
  expect(outcomes[4]?.value).toEqual({ rows: [{ item: 'Olive oil' }] });
});

it('an order query that never ends is killed, and the worker serves on', async () => {
  const yard = await setup();
  const { tools } = await loadTools([folder]);
  const impatient = tools.map((tool) => {
    const { policy } = tool.manifest;
    return {
      ...tool,
      manifest: { ...tool.manifest, policy: { ...policy, timeoutMs: 1_000, retry: { ...policy.retry, attempts: 1 } } },
    };
  });
  await yard.worker(impatient);
  const dispatcher = await yard.dispatcher();
  const endless = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n';
  const calls = [toolCall('query_orders', { sql: endless }), toolCall('calculate', { expression: '1 + 1' })];
  const { outcomes } = await dispatcher.execute(calls, { principal });
  expect(outcomes.map(({ status, error }) => error?.code ?? status)).toEqual(['timeout', 'completed']);
});

it('a shipping quote ends with its call', async () => {
  const { tools } = await loadTools([`${folder}/shipping.ts`]);
  const [quote] = tools;
  const handler = quote?.handler as unknown as (args: object, ctx: { signal: AbortSignal }) => Promise<unknown>;
  const call = new AbortController();
  const quoted = handler({ city: 'Oslo', kilograms: 2 }, { signal: call.signal });
  call.abort();
  await expect(quoted).rejects.toMatchObject({ name: 'AbortError' });
});

it('a refund is for support alone, and is done once', async () => {
  const { tools } = await loadTools([`${folder}/refund.ts`]);
  expect(tools[0]?.manifest.policy).toMatchObject({ effects: 'at-most-once', retry: { attempts: 1 } });
  const yard = await setup();
  await yard.worker(tools);
  const dispatcher = await yard.dispatcher();
  const support = { ...principal, roles: ['support'] };
  const { outcomes } = await dispatcher.execute([toolCall('refund_order', { order: 1006 })], { principal: support });
  expect(outcomes[0]).toMatchObject({ status: 'completed', value: { order: 1006, refundedBy: 'mia' } });
});
