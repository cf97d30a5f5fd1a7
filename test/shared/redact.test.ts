import { describe, expect, it } from 'vitest';
import { createRedactor } from '@callyard/shared/redact';

const redact = createRedactor({ keys: ['Loyalty-Number'] });

describe('redacting a result', () => {
  it.each([
    ['password', 'hunter2'],
    ['API_KEY', 'k-1'],
    ['Set-Cookie', 'a=b'],
    ['access-token', 12345],
    ['cvv', 123],
    ['loyalty_number', 'L-7'],
  ])('hides the scalar under %s', (key, value) => {
    expect(redact({ deep: [{ [key]: value, kept: 1 }] })).toEqual({ deep: [{ [key]: '[redacted]', kept: 1 }] });
  });

  it.each(['token_count', 'max_tokens', 'passwordless', 'secretary', 'credit_card_4421486', 'monkey'])(
    'leaves %s alone',
    (key) => {
      const value = { [key]: 'plain' };
      expect(redact(value)).toBe(value);
    },
  );

  it('walks into objects under secret-looking keys', () => {
    expect(redact({ token: { type: 'bearer', token: 'abc' } })).toEqual({
      token: { type: 'bearer', token: '[redacted]' },
    });
  });

  it.each(['4111111111111111', '4111 1111 1111 1111', '5500-0000-0000-0004', 'paid with 378282246310005.'])(
    'hides the card in %j',
    (text) => {
      expect(redact({ text })).not.toEqual({ text });
      expect(JSON.stringify(redact({ text }))).toContain('[redacted card]');
    },
  );

  it.each([
    '4111111111111112',
    'order 1234567890123456',
    '2026-11-20T20:20:20.123456789Z',
    '0.1234567890123456789',
    '550e8400-e29b-41d4-a716-446655440000',
    '+4791234567890',
    '99999999999999999999999999',
  ])('takes %j for no card', (text) => {
    expect(redact(text)).toBe(text);
  });

  it('hands back the same value where nothing was found', () => {
    const value = { a: [1, { b: 'text' }], c: null, d: true };
    expect(redact(value)).toBe(value);
  });

  it('does not change the value it was given', () => {
    const value = { list: [{ password: 'x' }] };
    redact(value);
    expect(value).toEqual({ list: [{ password: 'x' }] });
  });

  it('neither loses nor obeys a __proto__ key', () => {
    const value = JSON.parse('{"__proto__": {"admin": true}, "password": "x"}') as object;
    const clean = redact(value) as { admin?: boolean };
    expect(clean.admin).toBeUndefined();
    expect(JSON.stringify(clean)).toBe('{"__proto__":{"admin":true},"password":"[redacted]"}');
  });
});
