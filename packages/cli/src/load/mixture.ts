import type { PrincipalInput, ToolCall } from '@callyard/dispatcher';
import type { LimitRule } from '@callyard/shared/admission/limit-rules';

/** What somebody asks at once. */
export interface Request {
  /** bare calls, a run in this process, or a durable run of whatever dispatcher takes it */
  way: 'execute' | 'run' | 'submit';
  class: 'interactive' | 'batch';
  principal: PrincipalInput;
  /** those of a run its model proposes */
  calls: readonly ToolCall[];
}

/** A kind of request, and how many calls it makes; `share` is its part of all calls, in thousandths. */
interface Kind {
  share: number;
  calls: number;
  make(calls: number): Request;
}

export interface Mixture {
  next(): { request: Request; calls: number };
  /** what the users of the free plan are held to */
  limits: readonly LimitRule[];
}

const owners = ['acme', 'globex', 'initech'];
const cities = ['Oslo', 'Sevilla', 'Osaka', 'Bergen', 'Lyon', 'Graz', 'Porto', 'Gdansk', 'Turku', 'Ghent'];
const zones = ['Europe/Oslo', 'Asia/Tokyo', 'America/Lima', 'Africa/Lagos', 'Australia/Perth'];
const items = ['Tea kettle', 'Grinder', 'Paella pan', 'Olive oil'];

/** Of users on the free plan: half of what they may start, so that a burst of theirs waits and all of them keep up. */
const freeShare = 30;
const freeBurst = 10;
const freePerSecond = 5;

const below = (n: number): number => Math.floor(Math.random() * n);
const oneOf = <T>(all: readonly [T, ...T[]] | readonly T[]): T => all[below(all.length)] as T;

const user = (userId = `user-${below(40)}`, ...roles: string[]): PrincipalInput => ({
  owner: oneOf(owners),
  userId,
  roles,
});

let asked = 0;
const call = (name: string, args: unknown): ToolCall => ({
  id: `call_${++asked}`,
  type: 'function',
  function: { name, arguments: typeof args === 'string' ? args : JSON.stringify(args) },
});

const sum = () => call('calculate', { expression: `${below(1_000)} * ${below(1_000)} + sqrt(${below(1_000)})` });

const bare = (calls: readonly ToolCall[], principal = user()): Request => ({
  way: 'execute',
  class: 'interactive',
  principal,
  calls,
});
const bareOf = (name: string, args: () => unknown) => () => bare([call(name, args())]);

/** Light tools for the most part, so that the rate is what limits, not they; and a little of everything that can happen. */
function kindsFor(callsPerSecond: number): Kind[] {
  const freeUsers = Math.max(1, Math.ceil((callsPerSecond * freeShare) / 1_000 / (freePerSecond / 2)));
  const sums = (count: number) => Array.from({ length: count }, sum);
  return [
    { share: 333, calls: 1, make: () => bare([sum()]) },
    { share: 180, calls: 1, make: bareOf('count_text', () => ({ text: `to ${oneOf(cities)} and ${oneOf(cities)}` })) },
    { share: 100, calls: 1, make: bareOf('time_in_zone', () => ({ zone: oneOf(zones) })) },
    // Nobody waits for these.
    { share: 120, calls: 20, make: (n) => ({ ...bare(sums(n), user('nightly')), class: 'batch' }) },
    { share: 90, calls: 3, make: () => ({ ...bare([]), way: 'run' }) },
    { share: 60, calls: 3, make: () => ({ ...bare([]), way: 'submit' }) },
    // Comes at once and waits for its limit.
    { share: freeShare, calls: freeBurst, make: (n) => bare(sums(n), user(`free-${below(freeUsers)}`, 'free')) },
    // Fails at first, and is tried again.
    { share: 50, calls: 1, make: bareOf('check_stock', () => ({ item: oneOf(items) })) },
    // Slow, and often in the cache.
    { share: 15, calls: 1, make: bareOf('quote_shipping', () => ({ city: oneOf(cities), kilograms: 1 + below(20) })) },
    { share: 2, calls: 1, make: bareOf('query_orders', () => ({ sql: 'SELECT status, sum(amount) FROM orders' })) },
    {
      share: 5,
      calls: 1,
      make: () => bare([call('refund_order', { order: 1_000 + below(7) })], user('lena', 'support')),
    },
    // What models get wrong, and what users may not.
    { share: 8, calls: 1, make: bareOf('calculate', () => ({ formula: '1 + 1' })) },
    { share: 2, calls: 1, make: bareOf('calculate', () => '{"expression": "1 + ') },
    { share: 2, calls: 1, make: bareOf('calculator', () => ({ expression: '1 + 1' })) },
    { share: 2.8, calls: 1, make: bareOf('refund_order', () => ({ order: 1_006 })) },
    { share: 0.2, calls: 1, make: bareOf('time_in_zone', () => ({ zone: 'Mars/Olympus' })) },
  ];
}

/** Requests as a busy installation sees them: many users, both classes, all ways in. */
export function createMixture(callsPerSecond: number): Mixture {
  const kinds = kindsFor(callsPerSecond);
  const weights = kinds.map(({ share, calls }) => share / calls);
  const total = weights.reduce((all, weight) => all + weight, 0);
  const pick = (): Kind => {
    let left = Math.random() * total;
    return kinds.find((_, i) => (left -= weights[i] ?? 0) < 0) ?? (kinds[0] as Kind);
  };
  return {
    next() {
      const { calls, make } = pick();
      return { request: make(calls), calls };
    },
    limits: [{ per: ['user'], for: { role: 'free' }, rate: { limit: freePerSecond, periodMs: 1_000 } }],
  };
}
