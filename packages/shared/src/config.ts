import Type, { type Static, type TObject } from 'typebox';
import { Compile } from 'typebox/compile';
import { didYouMean } from './nearest.ts';
import { longestTimerMs } from './policy.ts';

/* One TypeBox object per process. `env` names the variable a field is read from; options passed in code have the same
   names and defaults. `.env.example` and docs/config.md are generated from these tables. */

/** No timer waits for it: it is a TTL in Redis. */
const longestKeptMs = 366 * 24 * 3_600_000;

const ms = (env: string, value: number, description: string, maximum: number = longestTimerMs) =>
  Type.Integer({
    env,
    default: value,
    minimum: 1,
    maximum,
    description: `${description}, in milliseconds`,
  });
const count = (env: string, value: number, description: string) =>
  Type.Integer({ env, default: value, minimum: 1, description });
const text = (env: string, value: string, description: string) =>
  Type.String({ env, default: value, minLength: 1, description });

const common = {
  redisUrl: text('REDIS_URL', 'redis://127.0.0.1:6379', 'the Redis that dispatchers and workers meet in'),
  prefix: text('CALLYARD_PREFIX', 'callyard', 'names the installation; two prefixes in one Redis share nothing'),
  logLevel: text('CALLYARD_LOG_LEVEL', 'info', 'trace, debug, info, warn, error, fatal or silent'),
  logFormat: Type.Union([Type.Literal('auto'), Type.Literal('json'), Type.Literal('pretty')], {
    env: 'CALLYARD_LOG_FORMAT',
    default: 'auto',
    description: 'json, pretty, or auto: pretty on a terminal; of processes that callyard starts',
  }),
  logContent: Type.Boolean({
    env: 'CALLYARD_LOG_CONTENT',
    default: false,
    description:
      'whether the log tells what tools and models say of their failures, and at level debug arguments and results; redacted and cut',
  }),
  auditFile: Type.String({
    env: 'CALLYARD_AUDIT_FILE',
    default: '',
    description: 'where records of refused and privileged calls are appended; without one they go to the log',
  }),
  captureContent: Type.Boolean({
    env: 'CALLYARD_CAPTURE_CONTENT',
    default: false,
    description: 'whether spans carry arguments and results, redacted and capped',
  }),
  redactKeys: Type.Array(Type.String(), {
    env: 'CALLYARD_REDACT_KEYS',
    default: [],
    description: 'keys, separated by commas, whose values are redacted beside the built-in ones',
  }),
  userHashSecret: Type.String({
    env: 'CALLYARD_USER_HASH_SECRET',
    default: '',
    description: 'key of the HMAC by which spans name users; without one they name none',
  }),
  otlpEndpoint: Type.String({
    env: 'OTEL_EXPORTER_OTLP_ENDPOINT',
    default: '',
    description: 'base URL of an OTLP/HTTP receiver such as http://127.0.0.1:4318; without one nothing is traced',
  }),
  metricsPort: Type.Integer({
    env: 'CALLYARD_METRICS_PORT',
    default: 9_464,
    minimum: 0,
    maximum: 65_535,
    description:
      'where `callyard worker` and `callyard dispatcher` serve /metrics, /healthz and /readyz; one that finds it taken runs without. 0 for none',
  }),
  metricsHost: text(
    'CALLYARD_METRICS_HOST',
    '0.0.0.0',
    'the address of that port; the default reaches other containers',
  ),
  metricsExporters: Type.Array(Type.String(), {
    env: 'OTEL_METRICS_EXPORTER',
    default: [],
    description: '`otlp` also sends metrics to the OTLP receiver, every 15 s; anything else sends none',
  }),
  maxArgumentBytes: count('CALLYARD_MAX_ARGUMENT_BYTES', 1_048_576, 'longer arguments are refused'),
  ledgerTtlMs: ms('CALLYARD_LEDGER_TTL_MS', 3_600_000, 'how long an outcome is kept past the deadline of its call'),
  conversationTtlMs: ms(
    'CALLYARD_CONVERSATION_TTL_MS',
    30 * 24 * 3_600_000,
    'how long a conversation is kept after it was last written',
    longestKeptMs,
  ),
};

export const WorkerConfig = Type.Object({
  ...common,
  concurrency: count('CALLYARD_CONCURRENCY', 50, 'calls a worker runs at once'),
  lockMs: ms('CALLYARD_LOCK_MS', 10_000, 'a worker that is silent for this long has lost its calls'),
  // BullMQ skips every other check when its timer beats the key that spaces them, so the lock, two checks and the second
  // for which a frozen worker may hide a job make 14 s at worst (3 s here: 14.8 s measured, 17 s possible).
  stalledCheckMs: ms('CALLYARD_STALLED_CHECK_MS', 1_500, 'how often calls of silent workers are looked for'),
  shutdownGraceMs: ms(
    'CALLYARD_SHUTDOWN_GRACE_MS',
    10_000,
    'what running calls get before a stopping worker hands them back',
  ),
  stuckAfterMs: ms(
    'CALLYARD_STUCK_AFTER_MS',
    2_000,
    'a handler that goes on this long after its abort counts as stuck',
  ),
  maxStuck: count('CALLYARD_MAX_STUCK', 3, 'a worker with this many stuck handlers stops to be replaced'),
  heartbeatMs: ms(
    'CALLYARD_HEARTBEAT_MS',
    2_000,
    'how often a worker says that it lives; it counts as gone after three',
  ),
  sweepMs: ms('CALLYARD_SWEEP_MS', 1_000, 'how often what dead workers held is looked for'),
  maxResultBytes: count('CALLYARD_MAX_RESULT_BYTES', 262_144, 'larger results fail as result_too_large'),
});
export type WorkerConfig = Static<typeof WorkerConfig>;

export const DispatcherConfig = Type.Object({
  ...common,
  maxTurns: count('CALLYARD_MAX_TURNS', 16, 'model responses in a run'),
  maxCallsPerTurn: count('CALLYARD_MAX_CALLS_PER_TURN', 32, 'calls in a turn; more are refused'),
  maxCalls: count('CALLYARD_MAX_CALLS', 256, 'calls in a run'),
  maxTokens: count('CALLYARD_MAX_TOKENS', 1_000_000, 'input and output tokens in a run; one response may pass it'),
  maxHistoryTokens: count(
    'CALLYARD_MAX_HISTORY_TOKENS',
    100_000,
    'of a longer conversation a model is shown the end, by estimated tokens',
  ),
  runTimeoutMs: ms('CALLYARD_RUN_TIMEOUT_MS', 300_000, 'the deadline over everything a run does'),
  unservedMs: ms(
    'CALLYARD_UNSERVED_MS',
    10_000,
    'a call whose tool nobody serves any more is tool_unavailable after this',
  ),
  fairShare: Type.Boolean({
    env: 'CALLYARD_FAIR_SHARE',
    default: true,
    description: "whether users share a pool's slots fairly while calls wait",
  }),
  limitsFile: Type.String({
    env: 'CALLYARD_LIMITS_FILE',
    default: '',
    description: 'a JSON file of limits by role, user, owner and tool, of budgets, and of weights by role',
  }),
  sweepMs: ms('CALLYARD_SWEEP_MS', 1_000, 'how often the catalog and missing outcomes are looked at'),
  maxRuns: Type.Integer({
    env: 'CALLYARD_MAX_RUNS',
    default: 256,
    minimum: 0,
    description: 'durable runs a dispatcher with a model drives at once; 0 leaves them to others',
  }),
  lockMs: ms('CALLYARD_LOCK_MS', 10_000, 'a dispatcher that is silent for this long has lost its durable runs'),
  stalledCheckMs: ms('CALLYARD_STALLED_CHECK_MS', 1_500, 'how often runs of silent dispatchers are looked for'),
  parkAfterMs: ms(
    'CALLYARD_PARK_AFTER_MS',
    10_000,
    'a durable run that waits longer for its calls is put away until the last has ended',
  ),
  runKeepMs: ms('CALLYARD_RUN_KEEP_MS', 86_400_000, 'how long a durable run is kept past its end'),
  pricesFile: Type.String({
    env: 'CALLYARD_PRICES_FILE',
    default: '',
    description: 'a JSON file of what tokens cost, by model; without one no cost is counted',
  }),
  traceUrl: Type.String({
    env: 'CALLYARD_TRACE_URL',
    default: '',
    description: 'how a trace is opened, such as http://localhost:16686/trace/{trace}; `callyard why` then shows it',
  }),
  maxConversationBytes: count(
    'CALLYARD_MAX_CONVERSATION_BYTES',
    16_777_216,
    'what the messages of a conversation may take; more are refused',
  ),
});
export type DispatcherConfig = Static<typeof DispatcherConfig>;

/** What commands that ask a real model read. */
export const ModelConfig = Type.Object({
  apiKey: Type.String({
    env: 'OPENAI_API_KEY',
    default: '',
    description: 'key of the model; without one the demo is scripted',
  }),
  baseUrl: Type.String({
    env: 'OPENAI_BASE_URL',
    default: '',
    description: 'any endpoint that speaks Chat Completions',
  }),
  model: text('CALLYARD_MODEL', 'gpt-4.1-mini', 'the model to ask'),
});
export type ModelConfig = Static<typeof ModelConfig>;

const tables = { worker: WorkerConfig, dispatcher: DispatcherConfig, model: ModelConfig } as const;
export type ConfigKind = keyof typeof tables;
type ConfigOf<K extends ConfigKind> = Static<(typeof tables)[K]>;

/** A setting as documentation and messages show it. */
export interface Setting {
  name: string;
  env: string;
  default: unknown;
  description: string;
}

export const settingsOf = (kind: ConfigKind): Setting[] =>
  Object.entries((tables[kind] as TObject).properties).map(([name, schema]) => {
    const { env, default: value, description } = schema as unknown as Omit<Setting, 'name'>;
    return { name, env, default: value, description };
  });

/** Settings, or files that they name, that cannot be used; the message lists every one. Values of secrets are never shown. */
export class ConfigError extends Error {
  override name = 'ConfigError';
}

export function configDefaults<K extends ConfigKind>(kind: K): ConfigOf<K> {
  return Object.fromEntries(
    structuredClone(settingsOf(kind).map((setting) => [setting.name, setting.default])),
  ) as ConfigOf<K>;
}

/**
 * Reads the settings of a process from its environment.
 * @throws ConfigError
 */
export function loadConfig<K extends ConfigKind>(kind: K, env: NodeJS.ProcessEnv = process.env): Readonly<ConfigOf<K>> {
  const problems = unknownNames(env);
  const config: Record<string, unknown> = configDefaults(kind);
  for (const { name, env: variable } of settingsOf(kind)) {
    const given = env[variable]?.trim();
    if (given === undefined || given === '') continue;
    const schema = (tables[kind] as TObject).properties[name] as Type.TSchema;
    const value = coerce(schema, given);
    const validator = Compile(schema);
    if (validator.Check(value)) config[name] = value;
    else problems.push(`${variable}: ${validator.Errors(value)[0]?.message ?? 'wrong'}${shown(variable, given)}`);
  }
  problems.push(...crossProblems(config));
  if (problems.length > 0)
    throw new ConfigError(`wrong settings:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
  for (const value of Object.values(config)) Object.freeze(value);
  return Object.freeze(config as ConfigOf<K>);
}

/** REDIS_URL as it was given, where a default would be wrong: the demo then brings its own Redis. */
export const givenRedisUrl = (env: NodeJS.ProcessEnv = process.env): string | undefined =>
  env.REDIS_URL?.trim() || undefined;

/** A file of recorded calls: in CALLYARD_DATA_DIR, else in the folder named. */
export const dataFile = (name: string, folder: string, env: NodeJS.ProcessEnv = process.env): string =>
  `${(env.CALLYARD_DATA_DIR ?? folder).replace(/\/?$/, '/')}${name}`;

/** Whether the environment sets one of these, which a library reads by itself unless code goes before it. */
export const isSet = (...names: string[]): boolean => names.some((name) => Boolean(process.env[name]?.trim()));

/** The whole environment for a child process, with some settings of its own. */
export const environmentWith = (own: Record<string, string>): Record<string, string | undefined> => ({
  ...process.env,
  ...own,
});

function coerce(schema: Type.TSchema, given: string): unknown {
  if (Type.IsArray(schema))
    return given
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== '');
  if (Type.IsBoolean(schema)) return given === 'true' ? true : given === 'false' ? false : given;
  return Type.IsInteger(schema) && /^-?\d+$/.test(given) ? Number(given) : given;
}

const shown = (variable: string, given: string): string =>
  /KEY|SECRET|URL/.test(variable) ? '' : `, got ${JSON.stringify(given.slice(0, 80))}`;

function unknownNames(env: NodeJS.ProcessEnv): string[] {
  const known = (Object.keys(tables) as ConfigKind[]).flatMap((kind) => settingsOf(kind).map((setting) => setting.env));
  const foreign = ['CALLYARD_DATA_DIR'];
  return Object.keys(env)
    .filter((name) => name.startsWith('CALLYARD_') && !known.includes(name) && !foreign.includes(name))
    .map((name) => `${name}: unknown${didYouMean(name, known)}`);
}

/** A lock must outlive the checks that look for lost ones, or calls are taken from workers that live. */
function crossProblems({ lockMs, stalledCheckMs, logLevel }: Record<string, unknown>): string[] {
  const problems: string[] = [];
  if (Number(stalledCheckMs) >= Number(lockMs))
    problems.push('CALLYARD_STALLED_CHECK_MS: must be less than CALLYARD_LOCK_MS');
  const levels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'];
  if (typeof logLevel === 'string' && !levels.includes(logLevel))
    problems.push(`CALLYARD_LOG_LEVEL: must be one of ${levels.join(', ')}`);
  return problems;
}
