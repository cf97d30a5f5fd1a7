import { hash } from 'node:crypto';

/**
 * Every queue name, Redis key and channel. All carry one hash tag, `{prefix:shard}`, so that scripts stay atomic on
 * Redis Cluster; an owner's keys live in one shard, of which there is one today.
 */
export interface Names {
  /** the hash tag: scripts make the keys of admission from it, see admission/lib */
  readonly tag: string;
  /** BullMQ's own `prefix` */
  readonly bullPrefix: string;
  /** queue of the calls of a pool */
  queue(pool: string): string;
  /** BullMQ's lock of a job: held by the worker that may settle the call */
  jobLock(pool: string, key: string): string;
  /** BullMQ's hash of a job */
  job(pool: string, key: string): string;
  /** BullMQ's LIST of the jobs that are let go */
  waiting(pool: string): string;
  /** BullMQ's ZSET of the jobs that wait for their time, or to be let go */
  delayed(pool: string): string;
  /** LIST of the calls that wait in a lane, see admission/lib/lanes.lua */
  lane(lane: string): string;
  /** BullMQ's LIST of the jobs that run */
  active(pool: string): string;
  /** BullMQ's ZSET of the jobs that failed, by when: the dead letters */
  failed(pool: string): string;
  /** what a dead letter was retried as, see dead-retries.ts */
  retried(key: string): string;
  outcome(key: string): string;
  /** a durable run, see runs/run-store.ts */
  run(runId: string): string;
  /** the run that was submitted with a client's key */
  submitted(owner: string, key: string): string;
  /** a conversation as it stands in keys and records: its id belongs to its owner */
  conversationId(owner: string, id: string): string;
  /** HASH of a conversation: state, and the run that is under way; `…:messages` and `…:runs` are LISTs */
  conversation(owner: string, id: string): string;
  /** queue of durable runs */
  readonly runsQueue: string;
  /** STREAM of the events of a run, and the channel they are told on */
  runEvents(runId: string): string;
  /** the tokens a user has spent on a day, such as 2026-11-21 */
  tokensSpent(owner: string, userId: string, day: string): string;
  /** what a person is asked about a call, and decided */
  approval(key: string): string;
  /** ZSET of an owner's calls that wait for approval, by until when */
  approvals(owner: string): string;
  /** set when an `at-most-once` call starts */
  startMark(key: string): string;
  /** result of an equal call; ids are made in cache.ts */
  cached(id: string): string;
  /** ZSET of live workers by the time at which their heartbeat ends */
  readonly workers: string;
  /** ZSET of pools, living and dead, by when a worker last served them; no TTL, as it is what remembers their queues */
  readonly pools: string;
  /** HASH of what happened in a minute, counted since 1970, see tally.ts */
  tally(minute: number): string;
  /** the manifests a pool serves */
  manifests(pool: string): string;
  /** channel: a worker came or went */
  readonly catalogChannel: string;
  /** channel: the pump is to wake up, a bucket was blocked */
  readonly admissionChannel: string;
  /** channel: what workers are told of calls they run */
  readonly controlChannel: string;
  /** channel of one dispatcher's notices */
  noticeChannel(dispatcher: string): string;
}

/** `prefix` names the installation (default `callyard`); two prefixes share nothing. */
export function createNames(prefix = 'callyard', shard = 0): Names {
  const tag = `{${prefix}:${shard}}`;
  return {
    tag,
    bullPrefix: tag,
    queue: queueName,
    jobLock: (pool, key) => `${tag}:${queueName(pool)}:${key}:lock`,
    job: (pool, key) => `${tag}:${queueName(pool)}:${key}`,
    waiting: (pool) => `${tag}:${queueName(pool)}:wait`,
    delayed: (pool) => `${tag}:${queueName(pool)}:delayed`,
    lane: (lane) => `${tag}:lane:${lane}`,
    active: (pool) => `${tag}:${queueName(pool)}:active`,
    failed: (pool) => `${tag}:${queueName(pool)}:failed`,
    retried: (key) => `${tag}:retried:${key}`,
    outcome: (key) => `${tag}:outcome:${key}`,
    run: (runId) => `${tag}:run:${runId}`,
    submitted: (owner, key) => `${tag}:submitted:${ownedId(owner, key)}`,
    conversationId: ownedId,
    conversation: (owner, id) => `${tag}:conversation:${ownedId(owner, id)}`,
    runsQueue: 'runs',
    runEvents: (runId) => `${tag}:events:${runId}`,
    tokensSpent: (owner, userId, day) => `${tag}:tokens:${day}:${ownedId(owner, userId)}`,
    approval: (key) => `${tag}:approval:${key}`,
    approvals: (owner) => `${tag}:approvals:${owner}`,
    startMark: (key) => `${tag}:started:${key}`,
    cached: (id) => `${tag}:cache:${id}`,
    workers: `${tag}:workers`,
    pools: `${tag}:pools`,
    tally: (minute) => `${tag}:tally:${minute}`,
    manifests: (pool) => `${tag}:manifests:${pool}`,
    catalogChannel: `${tag}:catalog`,
    admissionChannel: `${tag}:admission`,
    controlChannel: `${tag}:control`,
    noticeChannel: (dispatcher) => `${tag}:notice:${dispatcher}`,
  };
}

const queueName = (pool: string): string => `calls-${pool}`;

/** What an owner's names become in keys: of one length, whatever they hold, and never those of another owner. */
const ownedId = (owner: string, id: string): string => hash('sha256', JSON.stringify([owner, id])).slice(0, 32);
