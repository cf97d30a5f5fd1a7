/*
 * Every metric, its kind, unit and labels: OpenTelemetry's names of 2026 where it has any (GenAI and messaging, both in
 * development), and our own under `callyard.`. docs/telemetry.md is generated from it. No label holds what comes from
 * outside: a tool that nobody serves is `_OTHER`; jobs, runs, conversations and users are found in traces and logs.
 */

/** Seconds, as OpenTelemetry's GenAI conventions have them. */
const seconds = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];

/** Seconds, from what admission and notices take to what people take. */
const fineSeconds = [0.001, 0.0025, 0.005, ...seconds, 300, 3_600];

const tokens = Array.from({ length: 14 }, (_, power) => 4 ** power);

interface MetricAbout {
  kind: 'counter' | 'histogram' | 'gauge';
  unit: string;
  labels: readonly string[];
  about: string;
  /** upper bounds of a histogram's buckets */
  buckets?: readonly number[];
}

const tool = 'gen_ai.tool.name';

/** What processes count and measure as it happens. */
export const metricTable = {
  'callyard.calls': {
    kind: 'counter',
    unit: '{call}',
    labels: [tool, 'outcome', 'error.type', 'class'],
    about:
      'calls that ended, once each, by whoever wrote the outcome; a completed one with an `error.type` has its value from something else, as its tool failed',
  },
  'callyard.call.duration': {
    kind: 'histogram',
    unit: 's',
    labels: [tool, 'outcome'],
    about: 'from enqueue to outcome, with every wait and attempt',
    buckets: fineSeconds,
  },
  'callyard.call.wait.duration': {
    kind: 'histogram',
    unit: 's',
    labels: ['reason', 'per', 'class'],
    about: 'each wait of a call as it ends: for what, and of a limit for each of whom',
    buckets: fineSeconds,
  },
  'callyard.call.retries': {
    kind: 'counter',
    unit: '{attempt}',
    labels: [tool, 'error.type'],
    about: 'attempts that failed and are followed by another',
  },
  'callyard.calls.lost': {
    kind: 'counter',
    unit: '{call}',
    labels: [tool],
    about: 'calls whose worker died or lost its lock, as the next one picks them up',
  },
  'callyard.cache.lookups': {
    kind: 'counter',
    unit: '{lookup}',
    labels: [tool, 'result'],
    about: 'of tools with a cache: `hit` or `miss`',
  },
  'callyard.dead_letters': {
    kind: 'counter',
    unit: '{call}',
    labels: [tool, 'error.type'],
    about: 'calls that became dead letters',
  },
  'gen_ai.execute_tool.duration': {
    kind: 'histogram',
    unit: 's',
    labels: [tool, 'error.type'],
    about: 'one attempt of a handler',
    buckets: seconds,
  },
  'messaging.client.sent.messages': {
    kind: 'counter',
    unit: '{message}',
    labels: ['messaging.destination.name'],
    about: 'calls that were enqueued',
  },
  'messaging.client.consumed.messages': {
    kind: 'counter',
    unit: '{message}',
    labels: ['messaging.destination.name'],
    about: 'calls that workers picked up, each time they did',
  },
  'messaging.process.duration': {
    kind: 'histogram',
    unit: 's',
    labels: ['messaging.destination.name', 'error.type'],
    about: 'one pick-up of a call by a worker',
    buckets: fineSeconds,
  },
  'gen_ai.client.operation.duration': {
    kind: 'histogram',
    unit: 's',
    labels: ['gen_ai.operation.name', 'gen_ai.provider.name', 'gen_ai.request.model', 'error.type'],
    about: 'one question to a model',
    buckets: seconds,
  },
  'gen_ai.client.token.usage': {
    kind: 'histogram',
    unit: '{token}',
    labels: ['gen_ai.operation.name', 'gen_ai.provider.name', 'gen_ai.request.model', 'gen_ai.token.type'],
    about: 'tokens of one question (`input`) and its answer (`output`)',
    buckets: tokens,
  },
  'callyard.model.cost': {
    kind: 'counter',
    unit: '{currency}',
    labels: ['gen_ai.provider.name', 'gen_ai.request.model', 'currency'],
    about: 'what the tokens cost, by the prices that are configured; nothing of models without a price',
  },
  'callyard.runs': {
    kind: 'counter',
    unit: '{run}',
    labels: ['state', 'stop'],
    about: 'runs that ended, and why',
  },
  'callyard.run.duration': {
    kind: 'histogram',
    unit: 's',
    labels: ['state'],
    about: 'of a run from its begin, of a durable one from its submit, to its end',
    buckets: fineSeconds,
  },
  'callyard.notice.lag': {
    kind: 'histogram',
    unit: 's',
    labels: [],
    about: 'from the outcome of a call to the dispatcher that waits for it',
    buckets: fineSeconds,
  },
  'callyard.worker.slots': {
    kind: 'gauge',
    unit: '{call}',
    labels: ['pool'],
    about: 'calls this worker may run at once',
  },
  'callyard.worker.calls': {
    kind: 'gauge',
    unit: '{call}',
    labels: ['pool'],
    about: 'calls this worker holds',
  },
  'callyard.dispatcher.runs': { kind: 'gauge', unit: '{run}', labels: [], about: 'durable runs this dispatcher holds' },
  'callyard.pool.workers': {
    kind: 'gauge',
    unit: '{worker}',
    labels: ['pool'],
    about: 'workers of the pool that live',
  },
  'callyard.pool.slots': { kind: 'gauge', unit: '{call}', labels: ['pool'], about: 'calls they run at once' },
  'callyard.pool.active': { kind: 'gauge', unit: '{call}', labels: ['pool'], about: 'calls they hold' },
  'callyard.pool.waiting': {
    kind: 'gauge',
    unit: '{call}',
    labels: ['pool', 'class'],
    about: 'calls that wait for a slot or a limit, retries and approvals not counted',
  },
  'callyard.pool.oldest.age': {
    kind: 'gauge',
    unit: 's',
    labels: ['pool', 'class'],
    about: 'how long the oldest of them waits; 0 where none does',
  },
  'callyard.pool.delayed': {
    kind: 'gauge',
    unit: '{call}',
    labels: ['pool'],
    about: 'calls that wait for their time: a retry, or an approval',
  },
  'callyard.pool.lanes': {
    kind: 'gauge',
    unit: '{lane}',
    labels: ['pool', 'class', 'reason'],
    about: 'lanes with waiting calls, by what the first of them waits for',
  },
  'callyard.pool.load': {
    kind: 'gauge',
    unit: '1',
    labels: ['pool'],
    about: 'what to scale by: (active + waiting) / slots; waiting alone where no worker lives',
  },
  'callyard.dead_letter.jobs': { kind: 'gauge', unit: '{call}', labels: ['pool'], about: 'dead letters that are kept' },
  'callyard.runs.current': {
    kind: 'gauge',
    unit: '{run}',
    labels: ['state'],
    about: 'durable runs that are `queued`, `running` or `waiting`',
  },
  'callyard.redis.memory': {
    kind: 'gauge',
    unit: 'By',
    labels: ['state'],
    about: 'of Redis: `used`, and `max` where it has a bound',
  },
  'nodejs.eventloop.delay.p50': {
    kind: 'gauge',
    unit: 's',
    labels: [],
    about: 'how late the event loop comes to what is due, in the last 15 seconds that are over',
  },
  'nodejs.eventloop.delay.p99': { kind: 'gauge', unit: 's', labels: [], about: 'likewise' },
  'nodejs.eventloop.delay.max': { kind: 'gauge', unit: 's', labels: [], about: 'likewise' },
  'nodejs.eventloop.utilization': {
    kind: 'gauge',
    unit: '1',
    labels: [],
    about: 'share of the last 15 seconds that the event loop was busy',
  },
  'v8js.gc.duration': {
    kind: 'histogram',
    unit: 's',
    labels: ['v8js.gc.type'],
    about: 'one garbage collection: `major`, `minor`, `incremental` or `weakcb`',
    buckets: [0.001, 0.01, 0.1, 1, 10],
  },
  'v8js.memory.heap.used': {
    kind: 'gauge',
    unit: 'By',
    labels: ['v8js.heap.space.name'],
    about: 'heap of the process',
  },
  'process.memory.usage': { kind: 'gauge', unit: 'By', labels: [], about: 'memory of the process (resident)' },
} as const satisfies Record<string, MetricAbout>;

export type MetricName = keyof typeof metricTable;
type MetricsOf<K extends MetricAbout['kind']> = {
  [N in MetricName]: (typeof metricTable)[N]['kind'] extends K ? N : never;
}[MetricName];
export type CounterName = MetricsOf<'counter'>;
export type HistogramName = MetricsOf<'histogram'>;
export type GaugeName = MetricsOf<'gauge'>;

/** The labels of a metric: each of them, or fewer. */
export type LabelsOf<N extends MetricName> = Partial<
  Record<(typeof metricTable)[N]['labels'][number], string | undefined>
>;
