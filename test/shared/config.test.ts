import { describe, expect, it } from 'vitest';
import { configDefaults, loadConfig } from '@callyard/shared/config';
import { nearest } from '@callyard/shared/nearest';

describe('settings of a process', () => {
  it('have defaults, and take what the environment says', () => {
    expect(loadConfig('worker', {})).toEqual(configDefaults('worker'));
    const env = {
      CALLYARD_CONCURRENCY: '7',
      CALLYARD_CAPTURE_CONTENT: 'true',
      CALLYARD_REDACT_KEYS: 'pin, dob',
      CALLYARD_PREFIX: '',
    };
    expect(loadConfig('worker', env)).toMatchObject({
      concurrency: 7,
      captureContent: true,
      redactKeys: ['pin', 'dob'],
      prefix: 'callyard',
    });
  });

  it.each([
    [{ CALLYARD_CONCURRENCY: '12abc' }, 'CALLYARD_CONCURRENCY: must be integer, got "12abc"'],
    [{ CALLYARD_CONCURRENCY: '0' }, 'CALLYARD_CONCURRENCY: must be >= 1'],
    [{ CALLYARD_CAPTURE_CONTENT: 'yes' }, 'CALLYARD_CAPTURE_CONTENT: must be boolean'],
    [{ CALLYARD_LOG_LEVEL: 'loud' }, 'CALLYARD_LOG_LEVEL: must be one of'],
    [{ CALLYARD_CONCURENCY: '1' }, 'did you mean CALLYARD_CONCURRENCY?'],
    [{ CALLYARD_LOCK_MS: '1000', CALLYARD_STALLED_CHECK_MS: '1000' }, 'must be less than CALLYARD_LOCK_MS'],
  ])('refuse %j', (env, said) => {
    expect(() => loadConfig('worker', env)).toThrow(said);
  });

  it('list everything that is wrong at once, without a secret', () => {
    const env = {
      CALLYARD_LOCK_MS: 'x',
      CALLYARD_MAX_STUCK: 'y',
      CALLYARD_USER_HASH_SECRET: 'hunter2',
      REDIS_URL: 'redis://u:hunter2@h',
    };
    expect(() => loadConfig('worker', env)).toThrow(/CALLYARD_LOCK_MS[^]*CALLYARD_MAX_STUCK/);
    expect(() => loadConfig('worker', env)).not.toThrow(/hunter2/);
  });

  it('may name settings of the other processes', () => {
    expect(loadConfig('worker', { CALLYARD_MAX_TURNS: '3' })).toEqual(configDefaults('worker'));
  });

  it('cannot be changed afterwards', () => {
    expect(Object.isFrozen(loadConfig('dispatcher', {}))).toBe(true);
  });
});

describe('the nearest name', () => {
  it.each([
    ['get_wether', 'get_weather'],
    ['GET_WEATHER', 'get_weather'],
    ['send_mial', 'send_mail'],
    ['xyz', undefined],
    ['', undefined],
    ['g'.repeat(10_000), undefined],
  ])('to %j is %j', (word, expected) => {
    expect(nearest(word, ['get_weather', 'send_mail'])).toBe(expected);
  });
});
