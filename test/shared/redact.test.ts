import { describe, expect, it } from 'vitest';
import { createRedactor } from '@callyard/shared/redact';
import { needsRecordedCalls, noRecordedCalls, recordedResults } from '../support/recorded.ts';

const redact = createRedactor({ keys: ['Loyalty-Number'] });

describe('redacting what is under a secret key', () => {
  it.each([
    ['password', 'hunter2'],
    ['Password', ''],
    ['API_KEY', 'k-1'],
    ['apiKey', 'k-1'],
    ['Set-Cookie', 'a=b'],
    ['access-token', 12345],
    ['accessToken', true],
    ['cvv', 123],
    ['loyalty_number', 'L-7'],
  ])('hides the scalar under %s', (key, value) => {
    expect(redact({ deep: [{ [key]: value, kept: 1 }] })).toEqual({ deep: [{ [key]: '[redacted]', kept: 1 }] });
  });

  it.each(['token_count', 'max_tokens', 'passwordless', 'secretary', 'credit_card_4421486', 'monkey', 'tokens'])(
    'leaves %s alone',
    (key) => {
      const value = { [key]: 'plain' };
      expect(redact(value)).toBe(value);
    },
  );

  it('walks into objects there, and hides scalars in lists there', () => {
    const value = {
      token: { type: 'bearer', token: 'abc' },
      'set-cookie': ['a=1', ['b=2'], { name: 'c' }],
      password: null,
    };
    expect(redact(value)).toEqual({
      token: { type: 'bearer', token: '[redacted]' },
      'set-cookie': ['[redacted]', ['[redacted]'], { name: 'c' }],
      password: null,
    });
  });

  it('hides no key that was not configured', () => {
    const value = { loyalty_number: 'L-7' };
    expect(createRedactor()(value)).toBe(value);
  });

  it.each([
    ['{"password": "x\\"y", "user": "mia"}', '{"password": "[redacted]", "user": "mia"}'],
    [
      'result: {"a":{"api_key":"k"}, "cvv" : 123, "pi": 3.10}',
      'result: {"a":{"api_key":"[redacted]"}, "cvv" : "[redacted]", "pi": 3.10}',
    ],
    ['{"token": true, "token_count": 3}', '{"token": "[redacted]", "token_count": 3}'],
  ])('treats the JSON in the text %s as JSON', (text, expected) => {
    expect(redact([text])).toEqual([expected]);
  });

  it('takes no longer for a hostile text than for any other', () => {
    const before = process.threadCpuUsage();
    for (const text of [
      '"password":"'.repeat(20_000),
      '"'.repeat(200_000),
      '"a":"\\"'.repeat(30_000),
      '4'.repeat(200_000),
      '4111-'.repeat(40_000),
    ]) {
      redact(text);
    }
    expect(process.threadCpuUsage(before).user).toBeLessThan(1_000_000); // µs: waiting for a processor is no cost
  });
});

describe('redacting card numbers', () => {
  it.each([
    '4111111111111111',
    '4111 1111 1111 1111',
    '5500-0000-0000-0004',
    'paid with 378282246310005.',
    '3782 822463 10005',
    '30569309025904',
    '3056 930902 5904',
    '6011111111111117',
    '2223003122003222',
    '3530111333300000',
    '4222222222222',
    'card:4111111111111111, thanks',
    '4111 1111 1111 1111 12/27 123',
    'ref 1234 4111 1111 1111 1111',
    '{"card":"4111111111111111"}',
  ])('hides the card in %j', (text) => {
    const { text: clean } = redact({ text }) as { text: string };
    expect(clean).toContain('[redacted card]');
    expect(clean).not.toMatch(/\d{5}|1111|0004/);
  });

  it('leaves a text of JSON with a card in digits JSON', () => {
    expect(redact('{"card": 4111111111111111, "order": 4111111111111112}')).toBe(
      '{"card": "[redacted card]", "order": 4111111111111112}',
    );
  });

  it('hides every card of a text and nothing else of it', () => {
    expect(redact('a 4111111111111111 b 5500 0000 0000 0004 c')).toBe('a [redacted card] b [redacted card] c');
  });

  it.each([
    ['a wrong check digit', '4111111111111112'],
    ['an order number', 'order 1234567890123456'],
    ['an order number that is right by Luhn', 'order 2000000000000006'],
    ['a time stamp', '1763664020000'],
    ['a time stamp in digits', '20261120202020123'],
    ['a moment', '2026-11-20T20:20:20.123456789Z'],
    ['a fraction', '0.4111111111111111'],
    ['a number with a fraction', '4111111111111111.5'],
    ['a UUID', '550e8400-e29b-41d4-a716-446655440000'],
    ['a UUID of digits', '41111111-1111-4111-8111-111111111111'],
    ['a phone number', '+4791234567890'],
    ['a phone number that is right by Luhn', '+4222222222222'],
    ['a hash', 'a4111111111111111f'],
    ['a list of numbers', '4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1'],
    ['twenty-six digits', '99999999999999999999999999'],
  ])('takes %s for no card', (_what, text) => {
    expect(redact(text)).toBe(text);
  });
});

describe('redacting a result', () => {
  it('hands back the same value where nothing was found', () => {
    const value = { a: [1, { b: 'text' }], c: null, d: true, e: '{"f": 1}' };
    expect(redact(value)).toBe(value);
    expect(redact(redact({ password: 'x' }))).toEqual({ password: '[redacted]' });
  });

  it('copies no more than what it changes', () => {
    const value = { kept: { a: 1 }, list: [{ b: 2 }, { password: 'x' }] };
    const clean = redact(value) as typeof value;
    expect(clean.kept).toBe(value.kept);
    expect(clean.list[0]).toBe(value.list[0]);
    expect(value).toEqual({ kept: { a: 1 }, list: [{ b: 2 }, { password: 'x' }] });
  });

  it.each([
    ['{"__proto__":{"admin":true},"password":"x"}', '{"__proto__":{"admin":true},"password":"[redacted]"}'],
    ['{"__proto__":{"password":"x"}}', '{"__proto__":{"password":"[redacted]"}}'],
  ])('neither loses nor obeys the __proto__ of %s', (text, expected) => {
    const clean = redact(JSON.parse(text)) as { admin?: boolean; password?: string };
    expect(JSON.stringify(clean)).toBe(expected);
    expect(Object.getPrototypeOf(clean)).toBe(Object.prototype);
  });

  it.each([
    ['[', ']'],
    ['{"a":', '}'],
  ])('walks what is nested 100,000 times in %s', (opening, closing) => {
    const nested = (inner: string): unknown =>
      JSON.parse(opening.repeat(100_000) + inner + closing.repeat(100_000)) as unknown;
    const plain = nested('{"b":1}');
    expect(redact(plain) === plain).toBe(true);
    let clean = redact(nested('{"password":"x"}'));
    for (let i = 0; i < 100_000; i++) clean = Object.values(clean as object)[0];
    expect(clean).toEqual({ password: '[redacted]' });
  });

  it.skipIf(noRecordedCalls)(`changes no recorded result (${needsRecordedCalls})`, () => {
    const results = recordedResults();
    expect(results.length).toBeGreaterThan(500);
    expect(results.filter((text) => redact(text) !== text)).toEqual([]);
    const parsed = results.filter((text) => text.startsWith('{')).map((text) => JSON.parse(text) as unknown);
    expect(parsed.filter((value) => redact(value) !== value)).toEqual([]);
  });
});
