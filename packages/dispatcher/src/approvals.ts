import { argumentsIn } from '@callyard/shared/arguments';
import { createApprovalRequests, type Approval, type Decided, type Decision } from '@callyard/shared/approvals';
import type { Audit } from '@callyard/shared/audit';
import type { Clock } from '@callyard/shared/clock';
import type { Names } from '@callyard/shared/names';
import { missingRequirements, toPrincipal, type Principal, type PrincipalInput } from '@callyard/shared/principal';
import { createRedactor } from '@callyard/shared/redact';
import type { Redis } from '@callyard/shared/redis';
import type { RunStore } from '@callyard/shared/runs/run-store';
import { runIdOf } from '@callyard/shared/call';

/** The model reads it, with the outcome. */
const maxWhy = 1_000;

/** A call that waits for a person to approve it, redacted as logs are. */
export interface WaitingApproval {
  key: string;
  runId: string;
  conversationId?: string;
  tool: { name: string; version: string };
  /** on whose behalf it would run */
  principal: Principal;
  /** as JSON, or the text where it is none */
  arguments: unknown;
  /** the permissions and roles it takes to decide */
  requires: string[];
  askedAt: number;
  /** refused then, if nobody decides */
  dueAt: number;
}

export interface DecideOptions {
  by: PrincipalInput;
  /** at most 1,000 characters; the model reads it where a call is denied */
  why?: string;
}

/** Calls that wait for a person. */
export interface Approvals {
  /** Those of an owner, the most urgent first, read a page at a time. */
  list(owner: string): AsyncGenerator<WaitingApproval>;
  /** Lets the call go on. The first decision holds; given again by the same person it answers the first. */
  approve(key: string, decide: DecideOptions): Promise<Decision>;
  /** Refuses the call as `approval_denied`. */
  deny(key: string, decide: DecideOptions): Promise<Decision>;
}

export type ApprovalErrorCode = 'not_found' | 'forbidden' | 'already_decided' | 'over';

/** A call cannot be decided on, or not by this person. */
export class ApprovalError extends Error {
  override name = 'ApprovalError';
  readonly code: ApprovalErrorCode;

  constructor(code: ApprovalErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

export interface ApprovalParts {
  redis: Redis;
  names: Names;
  clock: Clock;
  store: Pick<RunStore, 'emit'>;
  audit: Audit;
}

export function createApprovals(
  { redis, names, clock, store, audit }: ApprovalParts,
  { redactKeys }: { redactKeys: readonly string[] },
): Approvals {
  const requests = createApprovalRequests(redis, names);
  const redact = createRedactor({ keys: redactKeys });

  const decide = async (key: string, approved: boolean, { by, why }: DecideOptions): Promise<Decision> => {
    const person = toPrincipal(by);
    if (why !== undefined && why.length > maxWhy) throw new TypeError(`why: at most ${maxWhy} characters are taken`);
    const { userId, roles } = person;
    const found = await requests.read(key);
    const about = { principal: person, job_id: key, run_id: runIdOf(key), tool: found?.tool.name, why };
    try {
      refuseStranger(key, found, person);
      const decided = await requests.decide(key, {
        approved,
        by: { userId, roles },
        ...(why === undefined ? {} : { why }),
      });
      const decision = standing(decided, key, approved, userId);
      // Also where it stood already: an answer that was lost on its way back is asked for twice.
      const event = approved ? 'approval.approved' : 'approval.denied';
      const more = { decided_at: decision.at };
      const said = approved ? 'allowed' : 'refused';
      audit.write({ ...about, event, decision: said, why: decision.why, more }, 'a person decided on a call');
      if (decided.kind === 'written') await tell(key, found.tool.name, decision);
      return decision;
    } catch (error) {
      if (error instanceof ApprovalError) {
        const refused = { ...about, event: 'approval.refused', decision: 'refused', code: error.code } as const;
        audit.write({ ...refused, more: { approved } }, 'a decision was not taken');
      }
      throw error;
    }
  };

  /** Whoever reads the events of the run sees it, too. */
  const tell = (key: string, tool: string, { approved, by, why }: Decision): Promise<void> => {
    const decision = approved ? 'approved' : 'denied';
    const event = { type: 'approval.decided', key, tool, decision, by: by.userId, ...(why && { why }) } as const;
    return store.emit(runIdOf(key), [event]);
  };

  return {
    async *list(owner) {
      for await (const { envelope, tool, requires, askedAt, dueAt } of requests.pending(owner, clock.now())) {
        const { key, runId, conversationId, principal, call } = envelope;
        yield {
          key,
          runId,
          ...(conversationId === undefined ? {} : { conversationId }),
          tool,
          principal,
          arguments: redact(argumentsIn(call.arguments)),
          requires,
          askedAt,
          dueAt,
        };
      }
    },
    approve: (key, options) => decide(key, true, options),
    deny: (key, options) => decide(key, false, options),
  };
}

/** Whose call it is stays untold: another owner's is none. */
function refuseStranger(key: string, found: Approval | undefined, person: Principal): asserts found is Approval {
  if (found?.owner !== person.owner) throw unknown(key);
  const missing = missingRequirements(person, found.requires);
  if (missing.length === 0) return;
  throw new ApprovalError(
    'forbidden',
    `${person.userId} may not decide on ${found.tool.name}: lacks ${missing.join(', ')}`,
  );
}

function standing(decided: Decided, key: string, approved: boolean, userId: string): Decision {
  switch (decided.kind) {
    case 'written':
      return decided.decision;
    case 'decided':
      if (decided.decision.approved === approved && decided.decision.by.userId === userId) return decided.decision;
      throw new ApprovalError('already_decided', `${key}: ${told(decided.decision)}`);
    case 'over':
      throw new ApprovalError('over', `${key} waits no more: it has ended, or the time to decide is over`);
    case 'unknown':
      throw unknown(key);
  }
}

const told = ({ approved, by, at }: Decision): string =>
  `${by.userId} ${approved ? 'approved' : 'denied'} it at ${new Date(at).toISOString()}`;

const unknown = (key: string): ApprovalError =>
  new ApprovalError('not_found', `no call ${key} waits for approval, or ever did`);
