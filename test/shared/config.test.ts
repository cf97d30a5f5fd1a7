import { describe, expect, it } from 'vitest';
import { configDefaults, dataFile, givenRedisUrl, loadConfig, settingsOf } from '@callyard/shared/config';

const failureOf = (env: NodeJS.ProcessEnv): string => {
  try {
    loadConfig('worker', env);
  } catch (error) {
    return String(error);
  }
  throw new Error('nothing was refused');
};

describe('settings of a process', () => {
  it('have defaults, each of which it would take from the environment too', () => {
    for (const kind of ['worker', 'dispatcher', 'model'] as const) {
      expect(loadConfig(kind, {})).toEqual(configDefaults(kind));
      const env = Object.fromEntries(settingsOf(kind).map((setting) => [setting.env, String(setting.default)]));
      expect(loadConfig(kind, env)).toEqual(configDefaults(kind));
    }
  });

  it.each([
    [{ CALLYARD_CONCURRENCY: ' 7 ' }, { concurrency: 7 }],
    [{ CALLYARD_CAPTURE_CONTENT: 'true' }, { captureContent: true }],
    [{ CALLYARD_CAPTURE_CONTENT: 'false' }, { captureContent: false }],
    [{ CALLYARD_REDACT_KEYS: 'pin, dob,,' }, { redactKeys: ['pin', 'dob'] }],
    [
      { CALLYARD_PREFIX: '', CALLYARD_LOCK_MS: ' ' },
      { prefix: 'callyard', lockMs: 10_000 },
    ],
    [{ CALLYARD_MAX_TURNS: '3' }, { concurrency: 50 }],
  ])('take %j', (env, expected) => {
    expect(loadConfig('worker', env)).toMatchObject(expected);
  });

  it.each([
    [{ CALLYARD_CONCURRENCY: '12abc' }, 'CALLYARD_CONCURRENCY: must be integer, got "12abc"'],
    [{ CALLYARD_CONCURRENCY: '1.5' }, 'CALLYARD_CONCURRENCY: must be integer'],
    [{ CALLYARD_CONCURRENCY: '1e3' }, 'CALLYARD_CONCURRENCY: must be integer'],
    [{ CALLYARD_CONCURRENCY: '0' }, 'CALLYARD_CONCURRENCY: must be >= 1'],
    [{ CALLYARD_HEARTBEAT_MS: '2147483648' }, 'CALLYARD_HEARTBEAT_MS: must be <= 2147483647'],
    [{ CALLYARD_CAPTURE_CONTENT: 'yes' }, 'CALLYARD_CAPTURE_CONTENT: must be boolean, got "yes"'],
    [{ CALLYARD_LOG_LEVEL: 'loud' }, 'CALLYARD_LOG_LEVEL: must be one of trace, debug'],
    [{ CALLYARD_CONCURENCY: '1' }, 'CALLYARD_CONCURENCY: unknown; did you mean CALLYARD_CONCURRENCY?'],
    [{ CALLYARD_LOCK_MS: '1000', CALLYARD_STALLED_CHECK_MS: '1000' }, 'must be less than CALLYARD_LOCK_MS'],
  ])('refuse %j', (env, said) => {
    expect(failureOf(env)).toContain(said);
  });

  it('list everything that is wrong at once', () => {
    const said = failureOf({
      CALLYARD_LOCK_MS: 'x',
      CALLYARD_MAX_STUCK: 'y',
      CALLYARD_NOPE: '',
      CALLYARD_LOG_LEVEL: 'z',
    });
    expect(said.split('\n').map((line) => line.trim().split(':')[0])).toEqual([
      'ConfigError',
      'CALLYARD_NOPE',
      'CALLYARD_LOCK_MS',
      'CALLYARD_MAX_STUCK',
      'CALLYARD_LOG_LEVEL',
    ]);
  });

  it('are never shown where they are secret', () => {
    const secrets = {
      REDIS_URL: 'redis://u:hunter2@h',
      CALLYARD_USER_HASH_SECRET: 'hunter2',
      OPENAI_API_KEY: 'hunter2',
    };
    expect(failureOf({ ...secrets, CALLYARD_LOCK_MS: 'x', CALLYARD_USER_HASH_SECRETS: 'hunter2' })).not.toContain(
      'hunter2',
    );
  });

  it('cannot be changed afterwards, nor can their defaults', () => {
    const config = loadConfig('dispatcher', { CALLYARD_REDACT_KEYS: 'pin' });
    expect([Object.isFrozen(config), Object.isFrozen(config.redactKeys)]).toEqual([true, true]);
    configDefaults('worker').redactKeys.push('pin');
    expect(configDefaults('worker').redactKeys).toEqual([]);
  });

  it('belong to the variables of this product only', () => {
    expect(loadConfig('worker', { PATH: '/bin', OTHER_CONCURRENCY: 'x', CALLYARD_DATA_DIR: 'data' })).toEqual(
      configDefaults('worker'),
    );
  });
});

it('the Redis that was given is known from the default one', () => {
  expect([givenRedisUrl({}), givenRedisUrl({ REDIS_URL: ' ' }), givenRedisUrl({ REDIS_URL: 'redis://h' })]).toEqual([
    undefined,
    undefined,
    'redis://h',
  ]);
});

it('a file of recorded calls is looked for in CALLYARD_DATA_DIR first', () => {
  expect(dataFile('x.jsonl', 'data', {})).toBe('data/x.jsonl');
  expect(dataFile('x.jsonl', 'data', { CALLYARD_DATA_DIR: 'other/' })).toBe('other/x.jsonl');
});
