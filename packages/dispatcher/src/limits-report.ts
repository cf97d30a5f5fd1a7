import type { Told } from '@callyard/shared/admission/admission';
import { laneOf, upstreamBucket } from '@callyard/shared/admission/admission-call';
import { resolveLimits, weightOf } from '@callyard/shared/admission/resolve-limits';
import type { ResolvedLimit } from '@callyard/shared/admission/resolved-limit';
import type { Envelope } from '@callyard/shared/call';
import { toPrincipal, type Principal, type PrincipalInput } from '@callyard/shared/principal';
import type { Manifest } from '@callyard/shared/tool';
import type { Connected } from './connect.ts';
import { OfferError, offerTools } from './offer.ts';

/** What limits leave a user at this moment. Asking takes nothing. */
export interface LimitsReport {
  /** calls of the user that workers hold */
  running: number;
  /** calls of the user that wait for a slot or a limit */
  waiting: number;
  tools: ToolLimits[];
}

export interface ToolLimits {
  tool: string;
  version: string;
  running: number;
  waiting: number;
  /**
   * until a call that costs 1 could start, ms, were it the next in line; 0 for now. Absent where a running call has to
   * end first
   */
  startsInMs?: number;
  limits: LimitLeft[];
}

/** Of one bucket. The figures are those of the limit: `rate`, `concurrency` or `quota`. */
export type LimitLeft = Figures<ResolvedLimit> & {
  /** what may start now */
  remaining: number;
  /** of a concurrency limit: the calls that hold it, also those of others where it is shared */
  running?: number;
  /** of a quota: until its window turns, ms */
  turnsInMs?: number;
};

/** A union stays one: `Omit` alone keeps what all of its parts have. */
type Figures<L> = L extends ResolvedLimit ? Omit<L, 'bucket' | 'cost'> : never;

/** Of all live tools, or of one. @throws OfferError when no live worker serves it */
export async function reportLimits(
  input: PrincipalInput,
  tool: string | undefined,
  to: Connected,
): Promise<LimitsReport> {
  const principal = toPrincipal(input);
  const manifests = tool === undefined ? to.live.latest() : [named(tool, principal, to)];
  const running = await runningOf(principal, manifests, to);
  const tools = await Promise.all(manifests.map((manifest) => askTool(manifest, principal, running, to)));
  return { running: running.length, waiting: tools.reduce((sum, { waiting }) => sum + waiting, 0), tools };
}

function named(tool: string, principal: Principal, { live }: Connected): Manifest {
  for (const { manifest } of offerTools(live, principal, { tools: [tool] }).values()) return manifest;
  throw new OfferError(`no live worker serves ${tool}`);
}

async function runningOf(
  { owner, userId }: Principal,
  manifests: readonly Manifest[],
  { live, queues }: Connected,
): Promise<Envelope[]> {
  const pools = new Set(manifests.flatMap(({ name }) => live.poolsOf(name)));
  const names = new Set(manifests.map(({ name }) => name));
  const active = await Promise.all([...pools].map((pool) => queues.active(pool)));
  return active
    .flat()
    .filter(({ principal, tool }) => principal.owner === owner && principal.userId === userId && names.has(tool.name));
}

async function askTool(
  { name, version, policy }: Manifest,
  principal: Principal,
  running: readonly Envelope[],
  { live, admission, limits: { rules } }: Connected,
): Promise<ToolLimits> {
  // A cost that is read from the arguments counts as 1: there are none here.
  const limits = resolveLimits([...policy.limits, ...rules.limits], { tool: name, principal, args: {} });
  const upstream = upstreamBucket(name, policy.upstreamKey, principal);
  const weight = weightOf(principal, rules.weights);
  const lanes = live
    .poolsOf(name)
    .flatMap((pool) =>
      (['interactive', 'batch'] as const).map((ofClass) =>
        laneOf({ pool, class: ofClass, principal, weight, upstream, limits }),
      ),
    );
  const told = await admission.ask(
    lanes[0]?.about.l ?? [],
    lanes.map(({ lane }) => lane),
  );
  const startsInMs = startOf(told);
  return {
    tool: name,
    version,
    running: running.filter(({ tool }) => tool.name === name).length,
    waiting: told.waiting,
    ...(startsInMs === undefined ? {} : { startsInMs }),
    limits: limits.map((limit, i) => leftOf(limit, told.limits[i + 1], told.now)), // the first is the upstream block
  };
}

function startOf({ limits, now }: Told): number | undefined {
  const full = limits.filter((limit) => limit.full);
  if (full.some(({ at }) => at === undefined)) return undefined;
  return Math.max(0, ...full.map(({ at = now }) => Math.ceil(at - now)));
}

function leftOf(
  { bucket: _bucket, cost: _cost, ...limit }: ResolvedLimit,
  told: Told['limits'][number] = {},
  now = 0,
): LimitLeft {
  const { remaining = 0, running, turnsAt } = told;
  return {
    ...limit,
    remaining,
    ...(running === undefined ? {} : { running }),
    ...(turnsAt === undefined ? {} : { turnsInMs: Math.max(0, turnsAt - now) }),
  };
}
