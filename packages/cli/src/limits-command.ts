import { OfferError, type LimitsReport } from '@callyard/dispatcher';
import { renderTable } from './table.ts';
import { UsageError } from './usage-error.ts';
import { withDispatcher } from './with-dispatcher.ts';

export interface LimitsCommand {
  owner: string;
  role?: string[];
  json?: boolean;
}

/** `callyard limits USER [TOOL]`: what limits leave a user at this moment. */
export async function limitsCommand(userId: string, tool: string | undefined, options: LimitsCommand): Promise<void> {
  const { owner, role: roles = [], json } = options;
  try {
    await withDispatcher('callyard-limits', async (dispatcher) => {
      const report = await dispatcher.limits({ owner, userId, roles }, tool);
      console.log(json ? JSON.stringify(report) : render(report));
    });
  } catch (error) {
    if (error instanceof OfferError || error instanceof TypeError) throw new UsageError(error.message);
    throw error;
  }
}

function render({ running, waiting, tools }: LimitsReport): string {
  const rows = tools.map((tool) => [
    `${tool.tool}@${tool.version}`,
    startOf(tool),
    String(tool.running),
    String(tool.waiting),
    tool.limits.map(limitText).join('; ') || 'none',
  ]);
  const head = ['TOOL', 'NEXT START', 'RUNNING', 'WAITING', 'LIMITS'];
  return `${running} running, ${waiting} waiting\n${renderTable([head, ...rows])}`;
}

function startOf({ startsInMs }: LimitsReport['tools'][number]): string {
  if (startsInMs === undefined) return 'when one ends';
  return startsInMs === 0 ? 'now' : `in ${seconds(startsInMs)}`;
}

function limitText(limit: LimitsReport['tools'][number]['limits'][number]): string {
  const whose = limit.per.length === 0 ? 'all' : limit.per.join(' and ');
  const turns = limit.turnsInMs === undefined ? '' : `, turns in ${seconds(limit.turnsInMs)}`;
  return `${limit.remaining} left of ${figures(limit)} per ${whose}${turns}`;
}

function figures(limit: LimitsReport['tools'][number]['limits'][number]): string {
  if ('rate' in limit) return `${limit.rate.limit} in ${seconds(limit.rate.periodMs)}`;
  if ('quota' in limit) return `a quota of ${limit.quota.limit} in ${seconds(limit.quota.windowMs)}`;
  return 'concurrency' in limit ? `${limit.concurrency} at once` : '';
}

const seconds = (ms: number): string => `${Math.ceil(ms / 100) / 10} s`;
