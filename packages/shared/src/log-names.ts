/*
 * The names in our log lines: what an `event` means, and the fields by which lines are found. Text of a line (`msg`) may
 * change, these do not. docs/logs.md is generated from it.
 */

type Level = 'debug' | 'info' | 'warn' | 'error';

interface EventAbout {
  level: Level | 'as its code';
  about: string;
  /** goes to the audit stream, too */
  audit?: true;
}

/** Every line has one of these. What happens to each call that goes well is told at `debug` only. */
export const logEvents = {
  'worker.started': { level: 'info', about: 'a worker serves its tools' },
  'worker.stopping': { level: 'info', about: 'a worker takes no more calls; `calls` run on for their grace' },
  'worker.stopped': { level: 'info', about: 'a worker is done; `calls` were left behind' },
  'worker.drain': { level: 'info', about: 'an operator had a worker stop', audit: true },
  'worker.stuck': { level: 'error', about: 'too many handlers ignore their abort; the worker stops to be replaced' },
  'worker.heartbeat_failed': { level: 'warn', about: 'a worker could not say that it lives' },
  'worker.not_left': { level: 'warn', about: 'a stopping worker could not leave the catalog' },
  'worker.bullmq': { level: 'warn', about: 'BullMQ reported something of the queue of calls' },
  'dispatcher.started': { level: 'info', about: 'a dispatcher is connected' },
  'dispatcher.stopped': { level: 'info', about: 'a dispatcher has handed over what it held' },
  'redis.lost': { level: 'error', about: 'Redis is out of reach; the process tries again' },
  'redis.back': { level: 'info', about: 'Redis is back' },
  'pool.came': { level: 'info', about: 'a pool has workers that were not there before' },
  'pool.gone': { level: 'warn', about: 'a pool has no workers any more: its calls wait, or are moved' },
  'catalog.unread': { level: 'warn', about: 'the catalog of tools could not be read' },
  'call.enqueued': { level: 'debug', about: 'a call is on its way to the workers of `pool`' },
  'call.started': { level: 'debug', about: 'an attempt of a call begins' },
  'call.waiting': { level: 'debug', about: 'a call goes back to wait, for `reason`' },
  'call.retry': { level: 'warn', about: 'an attempt failed, and is followed by another' },
  'call.completed': { level: 'debug', about: 'a call has its result' },
  'call.degraded': { level: 'warn', about: 'a tool failed, and something else answered for it' },
  'call.failed': { level: 'as its code', about: 'a call failed for good' },
  'call.refused': { level: 'as its code', about: 'a call was not run', audit: true },
  'call.cancelled': { level: 'as its code', about: 'a call was ended with its run' },
  'call.allowed': {
    level: 'info',
    about:
      'an attempt of a privileged call begins: of a tool with `requires`, approval or at-most-once effects; at `debug` beside an audit file',
    audit: true,
  },
  'call.adopted': { level: 'info', about: 'somebody else has settled the call first, and that stands' },
  'call.stale': { level: 'info', about: 'another worker has the call by now; what this one has is dropped' },
  'call.not_enqueued': { level: 'warn', about: 'a call could not be enqueued; it is tried again' },
  'call.not_moved': { level: 'warn', about: 'a call could not be moved to another pool; it is tried again' },
  'call.not_settled': { level: 'error', about: 'an outcome could not be written; workers try again' },
  'call.not_concluded': { level: 'error', about: 'a job could not be given back; it starts again when its lock ends' },
  'call.progress_untold': { level: 'warn', about: 'what a handler gave to ctx.progress cannot be told' },
  'call.unwanted_unread': { level: 'warn', about: 'it could not be asked which calls are still wanted' },
  'call.forgotten_unread': { level: 'warn', about: 'it could not be asked which calls Redis has lost' },
  'job.broken': { level: 'error', about: 'a job is not a call; it was written by somebody else' },
  'tool.stuck': { level: 'error', about: 'a handler goes on after its abort; its slot is freed' },
  'tool.blocked': { level: 'warn', about: 'a service asked for patience: its bucket is closed for `ms`' },
  'tool.log': { level: 'info', about: 'what a handler wrote to ctx.log, where it named no event' },
  'circuit.open': { level: 'warn', about: 'a tool fails, and is not asked for `ms`' },
  'circuit.closed': { level: 'info', about: 'a tool works again' },
  'fallback.failed': { level: 'warn', about: 'what was to answer for a tool failed, too' },
  'cache.not_kept': { level: 'warn', about: 'a result could not be kept for equal calls' },
  'cache.cleared': { level: 'info', about: 'an operator had kept results forgotten', audit: true },
  'admission.unasked': { level: 'warn', about: 'admission could not be asked what may start; it is tried again' },
  'fleet.unread': { level: 'warn', about: 'it could not be read how the queues stand; gauges say nothing' },
  'tally.unwritten': { level: 'warn', about: 'what was counted for `callyard stats` could not be written' },
  'ledger.unread': { level: 'warn', about: 'the ledger could not be read back' },
  'approval.asked': { level: 'info', about: 'a call waits for a person' },
  'approval.approved': { level: 'info', about: 'a person lets a call go on', audit: true },
  'approval.denied': { level: 'info', about: 'a person refuses a call', audit: true },
  'approval.refused': {
    level: 'info',
    about: 'a decision was not taken: too late, or not by this person',
    audit: true,
  },
  'run.submitted': { level: 'debug', about: 'a durable run was taken in' },
  'run.started': { level: 'debug', about: 'a dispatcher drives a run; `hold` counts how often one has taken it up' },
  'run.taken_over': { level: 'warn', about: 'the dispatcher that drove a run is gone; another one goes on' },
  'run.ended': { level: 'info', about: 'a run has ended; at `debug` where it completed' },
  'run.parked': { level: 'debug', about: 'a run is put away until its calls have ended' },
  'run.handed_over': { level: 'info', about: 'a stopping dispatcher leaves a run to another' },
  'run.stale': { level: 'info', about: 'another dispatcher has the run by now, or nobody can have it any more' },
  'run.cancelled': { level: 'info', about: 'somebody cancelled a run', audit: true },
  'run.too_new': { level: 'warn', about: 'a run is left to a newer dispatcher' },
  'run.gone': { level: 'error', about: 'the record of a run is no more' },
  'run.left': { level: 'error', about: 'a run could not be given back; it is taken over when its lock ends' },
  'run.fault': { level: 'error', about: 'a run could not be driven; it is tried again, up to five times' },
  'run.unread': { level: 'warn', about: 'records of runs could not be read' },
  'run.event_unwritten': { level: 'warn', about: 'an event of a run could not be written' },
  'run.bullmq': { level: 'warn', about: 'BullMQ reported something of the queue of runs' },
  'dead.retried': { level: 'info', about: 'an operator had a dead letter run once more, `as` a new call', audit: true },
  'dead.dropped': { level: 'info', about: 'an operator removed a dead letter', audit: true },
  'status.unserved': {
    level: 'warn',
    about: 'no metrics are shown, as the port is taken or cannot be had',
  },
  'status.failed': { level: 'error', about: 'a question for metrics or health could not be answered' },
  'trace.malformed': { level: 'debug', about: 'a caller gave a `traceparent` that is none; it is left aside' },
  'audit.failed': { level: 'error', about: 'the audit file cannot be written; the record is in this line instead' },
} as const satisfies Record<string, EventAbout>;

export type LogEvent = keyof typeof logEvents;

/** Fields that lines have in common; beside them a line has what its event tells of. */
export const logFields = {
  time: 'when, ISO 8601',
  level: 'debug, info, warn or error',
  name: 'the kind of process',
  event: 'what happened: one of the events below',
  msg: 'the same for people',
  worker: 'the worker that writes',
  dispatcher: 'the dispatcher that writes',
  trace_id: 'the trace it belongs to',
  span_id: 'the span within it',
  trace_flags: '01 where the trace is sampled',
  job_id: 'key of the call, which is also the id of its job',
  run_id: 'the run',
  conversation_id: 'the conversation, where it has one',
  tool: 'name of the tool',
  tool_call_id: 'the id that the provider of the model gave the call; it repeats',
  attempt: 'which attempt of the call, from 1 on',
  pool: 'the workers that serve the same tools',
  code: 'failure code, see failures.md',
  user_hash: 'the user, as spans name it; with CALLYARD_USER_HASH_SECRET only',
  arguments: 'of the call, redacted and cut; with CALLYARD_LOG_CONTENT only',
  result: 'of the call, redacted and cut; with CALLYARD_LOG_CONTENT only',
  err: 'an error: its type, message, code and stack',
} as const;

/** Fields of a record of the audit stream. */
export const auditFields = {
  time: 'when, ISO 8601',
  audit: 'true: tells records from other lines where both are in one stream',
  event: 'what happened',
  decision: '`allowed`, `refused` or `done`',
  code: 'why it was refused',
  by: 'who did it, where that is not the user: an operator',
  owner: 'of the call or the run; of a decision the person',
  user_id: 'the user within the owner',
  roles: 'of the user',
  why: 'the reason that was given',
  tool: 'name of the tool',
  job_id: 'key of the call',
  run_id: 'the run',
  attempt: 'which attempt of the call',
  trace_id: 'the trace',
  worker: 'the worker that writes',
  dispatcher: 'the dispatcher that writes',
} as const;
