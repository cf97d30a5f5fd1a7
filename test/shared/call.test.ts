import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { callKey, parseEnvelope, parseOutcome, runIdPattern } from '@callyard/shared/call';

const wire = new URL('../fixtures/wire/v1/', import.meta.url);
const fixture = (name: string): string => readFileSync(new URL(name, wire), 'utf8');
const fixtures = (kind: string): string[] => readdirSync(wire).filter((name) => name.startsWith(kind));

describe('envelope v1', () => {
  it.each(fixtures('envelope'))('still understands %s', (name) => {
    expect(parseEnvelope(JSON.parse(fixture(name)))).toMatchObject({ kind: 'ok', envelope: JSON.parse(fixture(name)) });
  });

  it('hands back a version it does not know', () => {
    const data = { ...(JSON.parse(fixture('envelope.json')) as object), v: 2 };
    expect(parseEnvelope(data)).toEqual({ kind: 'too-new', v: 2 });
  });

  it.each([
    ['nothing', undefined, 'envelope'],
    ['a string', 'job', 'envelope'],
    [
      'an envelope without a deadline',
      { ...(JSON.parse(fixture('envelope.json')) as object), deadlineAt: undefined },
      'deadlineAt',
    ],
    ['a version of the past', { v: 0 }, 'envelope'],
  ])('says what is wrong with %s', (_what, data, where) => {
    const parsed = parseEnvelope(data);
    expect(parsed).toMatchObject({ kind: 'broken' });
    expect(JSON.stringify(parsed)).toContain(where);
  });
});

describe('outcome v1', () => {
  it.each(fixtures('outcome'))('still reads %s', (name) => {
    expect(parseOutcome(fixture(name))).toEqual(JSON.parse(fixture(name)));
  });

  it('refuses an outcome with a status nobody knows', () => {
    const text = fixture('outcome-failed.json').replace('"failed"', '"exploded"');
    expect(() => parseOutcome(text)).toThrow(/^outcome\/status/);
  });
});

describe('call keys', () => {
  it('is made of run, turn and index', () => {
    expect(callKey({ runId: 'r1', turn: 2, index: 0 })).toBe('r1.2.0');
  });

  it.each(['12', 'a:b', '', 'a.b', 'ü', 'x'.repeat(129)])(
    'takes no run id like %j, which BullMQ or a key could not hold',
    (id) => {
      expect(runIdPattern.test(id)).toBe(false);
    },
  );
});
