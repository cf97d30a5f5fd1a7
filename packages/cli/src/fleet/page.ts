import type { Fleet, FleetPool } from '@callyard/shared/fleet';
import type { TallyReport, ToolTally } from '@callyard/shared/tally';
import { durationText } from '../duration-text.ts';
import { renderTable } from '../table.ts';
import { ageText, bytesText, countText, rateText, shareText } from './figures.ts';

/** How the fleet stands, and what it has done of late. */
export interface Stats extends Fleet {
  tally: TallyReport;
}

/** Tools named of a pool. */
const maxToolNames = 3;

export function renderStats(stats: Stats): string {
  const parts = [header(stats), pools(stats), tools(stats), waitingFor(stats), waitedFor(stats)];
  return parts.filter((part) => part !== '').join('\n\n');
}

const sum = <T>(list: readonly T[], of: (one: T) => number): number => list.reduce((total, one) => total + of(one), 0);
const waitingOf = ({ waiting }: FleetPool): number => waiting.interactive + waiting.batch;
const oldestOf = ({ oldestMs }: FleetPool): number => Math.max(oldestMs.interactive, oldestMs.batch);

function header({ pools: all, runs, redis }: Stats): string {
  const oldest = Math.max(0, ...all.map(oldestOf));
  const max = redis.maxBytes === undefined ? '' : ` of ${bytesText(redis.maxBytes)}`;
  const line = (...parts: string[]): string => parts.join(' · ');
  return [
    line(
      `Pools ${countText(all.length)}`,
      `workers ${countText(sum(all, ({ workers }) => workers.length))}`,
      `slots ${countText(sum(all, ({ slots }) => slots))}`,
      `active ${countText(sum(all, ({ active }) => active))}`,
      `waiting ${countText(sum(all, waitingOf))}${oldest > 0 ? `, the oldest for ${ageText(oldest)}` : ''}`,
    ),
    line(
      `Runs: queued ${countText(runs.queued)}`,
      `running ${countText(runs.running)}`,
      `waiting ${countText(runs.waiting)}`,
      `dead letters ${countText(sum(all, ({ dead }) => dead))}`,
      `Redis ${bytesText(redis.usedBytes)}${max}`,
    ),
  ].join('\n');
}

function pools({ pools: all }: Stats): string {
  if (all.length === 0) return 'No worker is there, and nothing waits.';
  const head = [
    'POOL',
    'WORKERS',
    'SLOTS',
    'ACTIVE',
    'INTERACTIVE',
    'BATCH',
    'OLDEST',
    'DELAYED',
    'LOAD',
    'DEAD',
    'TOOLS',
  ];
  const rows = all.map((pool) => [
    pool.pool,
    pool.workers.length === 0 ? 'none' : countText(pool.workers.length),
    countText(pool.slots),
    countText(pool.active),
    countText(pool.waiting.interactive),
    countText(pool.waiting.batch),
    ageText(oldestOf(pool)),
    countText(pool.delayed),
    pool.slots === 0 ? '-' : pool.load.toFixed(2),
    countText(pool.dead),
    toolNames(pool.tools),
  ]);
  return renderTable([head, ...rows]);
}

export function toolNames(names: readonly string[]): string {
  const more = names.length - maxToolNames;
  return `${names.slice(0, maxToolNames).join(' ')}${more > 0 ? ` and ${countText(more)} more` : ''}`;
}

function tools({ tally }: Stats): string {
  const about = `Of the last ${ageText(Math.max(1_000, tally.spanMs))}`;
  if (tally.tools.length === 0) return 'No call has ended of late.';
  const head = [
    'TOOL',
    'CALLS',
    'PER S',
    'SUCCESS',
    'ERRORS',
    'REFUSED',
    'AVERAGE',
    'P95',
    'P95 WITH WAITS',
    'RETRIES',
    'CACHED',
    'MOST OFTEN',
  ];
  const mostOften = ({ errors }: ToolTally): string => {
    const [first] = Object.entries(errors).toSorted(([, a], [, b]) => b - a);
    return first ? `${first[0]} ${countText(first[1])}` : '';
  };
  const rows = tally.tools.map((tool) => [
    tool.tool,
    countText(tool.calls),
    rateText(tool.perSecond),
    shareText(tool.outcomes.completed ?? 0, tool.calls),
    shareText(tool.outcomes.failed ?? 0, tool.calls),
    shareText(tool.outcomes.refused ?? 0, tool.calls),
    tool.run ? durationText(tool.run.averageMs) : '-',
    tool.run ? durationText(tool.run.p95Ms) : '-',
    tool.total ? durationText(tool.total.p95Ms) : '-',
    countText(tool.retries),
    countText(tool.cached),
    mostOften(tool),
  ]);
  return `${about}\n${renderTable([head, ...rows])}`;
}

/** A call that has been let go, and one that retries, stand in no lane. */
function waitingFor({ pools: all }: Stats): string {
  const counts = new Map<string, { calls: number; lanes: number }>();
  for (const { reason, calls, lanes } of all.flatMap((pool) => pool.lanes)) {
    const counted = counts.get(reason) ?? { calls: 0, lanes: 0 };
    counts.set(reason, { calls: counted.calls + calls, lanes: counted.lanes + lanes });
  }
  if (counts.size === 0) return '';
  const rows = [...counts]
    .toSorted(([, a], [, b]) => b.calls - a.calls)
    .map(([reason, { calls, lanes }]) => [reason, countText(calls), countText(lanes)]);
  return renderTable([['WAITING FOR', 'CALLS', 'LANES'], ...rows]);
}

function waitedFor({ tally: { waits } }: Stats): string {
  if (waits.length === 0) return '';
  const rows = waits.map(({ reason, waits: count, ms }) => [reason, countText(count), durationText(ms / count)]);
  return renderTable([['HAD WAITED FOR', 'WAITS', 'AVERAGE'], ...rows]);
}
