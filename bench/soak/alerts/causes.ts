import { setTimeout as delay } from 'node:timers/promises';
import type { ToolCall } from '@callyard/dispatcher';
import type { Redis } from '@callyard/shared/redis';
import { slots, type AlertFleet } from './fleet.ts';

/** What is done so that alerts fire, over and over until they have, and undone then. */
export interface Cause {
  alerts: readonly string[];
  begin?(yard: Yard): Promise<void>;
  /** every half second until all have fired */
  again?(yard: Yard): Promise<void>;
  end?(yard: Yard): Promise<void>;
}

export interface Yard {
  fleet: AlertFleet;
  redis: Redis;
}

const principal = { owner: 'soak', userId: 'soak' };

let asked = 0;
const calls = (count: number, name: string, args: unknown): ToolCall[] =>
  Array.from({ length: count }, () => ({
    id: `call_${++asked}`,
    type: 'function',
    function: { name, arguments: JSON.stringify(args) },
  }));

/** Calls whose end nobody waits for. */
function ask({ fleet }: Yard, count: number, name: string, args: unknown = {}): void {
  void fleet.dispatcher.execute(calls(count, name, args), { principal }).catch(() => {});
}

function askModel({ fleet }: Yard, model: string): void {
  const messages = [{ role: 'user', content: 'Hello?' } as const];
  void fleet.dispatcher.submit({ messages, principal, model }).catch(() => {});
}

/** The order is that of harm: what comes later finds a fleet that serves. */
export const causes: readonly Cause[] = [
  {
    alerts: ['ModelErrors'],
    async again(yard) {
      askModel(yard, 'refusing');
    },
  },
  {
    alerts: ['ErrorBudgetBurn', 'DeadLettersGrowing'],
    async again(yard) {
      ask(yard, 60, 'failing');
    },
  },
  {
    alerts: ['SpansDropped'],
    async again(yard) {
      ask(yard, 200, 'calculate', { expression: '1 + 1' });
    },
  },
  {
    alerts: ['EventLoopLag'],
    async again(yard) {
      ask(yard, 2, 'computing', { ms: 400 });
    },
  },
  {
    // A dispatcher that stands still hears late, as one does that is too busy.
    alerts: ['NoticeLag'],
    async again(yard) {
      for (let i = 0; i < 10; i++) askModel(yard, 'patient');
      await delay(500); // their calls run, and end while it stands
      const [{ process: dispatcher } = {}] = yard.fleet.dispatchers;
      dispatcher?.kill('SIGSTOP');
      await delay(2_000);
      dispatcher?.kill('SIGCONT');
    },
  },
  {
    alerts: ['RedisMemoryHigh'],
    async begin({ redis }) {
      const used = Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1]);
      await redis.config('SET', 'maxmemory', String(Math.round(used * 1.1)));
    },
    async end({ redis }) {
      await redis.config('SET', 'maxmemory', '0');
    },
  },
  {
    alerts: ['ToolSlow', 'BacklogGrowing', 'OldestCallTooOld'],
    async begin(yard) {
      ask(yard, slots * 4, 'slow', { ms: 12_000 });
    },
    async again(yard) {
      ask(yard, slots, 'slow', { ms: 12_000 });
    },
  },
  {
    alerts: ['InstanceDown', 'CallsLost'],
    async begin({ fleet }) {
      const [worker] = fleet.workers;
      if (worker) await fleet.kill(worker);
    },
    async end({ fleet }) {
      await fleet.start('worker');
    },
  },
  {
    // While the catalog still has the tools of the dead; what they are asked then waits, and is refused.
    alerts: ['NoWorkers', 'ToolUnavailable'],
    async begin(yard) {
      for (const worker of yard.fleet.workers.slice()) await yard.fleet.kill(worker);
      for (let i = 0; i < 10; i++) askModel(yard, 'scripted');
    },
    async end({ fleet }) {
      await fleet.start('worker');
    },
  },
  {
    // It answers nobody, this bench included, until the time is over.
    alerts: ['RedisUnread'],
    async begin({ redis }) {
      await redis.client('PAUSE', 20_000, 'ALL');
    },
    async end({ redis }) {
      await redis.ping();
    },
  },
  {
    alerts: ['ServiceMissing'],
    async begin({ fleet }) {
      for (const dispatcher of fleet.dispatchers.slice()) await fleet.kill(dispatcher);
      fleet.forget();
    },
  },
];
