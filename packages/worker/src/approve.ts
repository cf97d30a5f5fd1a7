import type { Decision } from '@callyard/shared/approvals';
import { callFields } from '@callyard/shared/call-log';
import { CallError } from '@callyard/shared/failure';
import { tellApproval } from '@callyard/shared/telemetry';
import type { Tool } from '@callyard/shared/tool';
import { AlreadySettled, MustWait, type Attempt, type WorkerContext } from './attempt.ts';
import { bounded } from './bounded.ts';
import { classifyError } from './classify.ts';

/** Asks a person where the tool wants that, and waits for the answer away from this worker. */
export async function approve(attempt: Attempt, tool: Tool, args: unknown, worker: WorkerContext): Promise<void> {
  const { key, owner, deadlineAt } = attempt.envelope;
  const { name, version, policy } = tool.manifest;
  if (!policy.approval) return;
  refuseIfOver(deadlineAt, worker);
  if (!(await wasAsked(attempt, worker)) && !(await isNeeded(attempt, tool, args, worker))) return;
  const asked = await worker.approvals.ask({
    key,
    pool: attempt.pool,
    owner,
    tool: { name, version },
    ...policy.approval,
    deadlineAt,
    keptMs: worker.limits.ledgerTtlMs,
  });
  switch (asked.kind) {
    case 'pending':
      worker.log.info({ event: 'approval.asked', ...callFields(attempt.envelope) }, 'a call waits for a person');
      worker.telling.tell(attempt.envelope, { type: 'approval.needed', key, tool: name, expiresAt: asked.dueAt });
      tellApproval('asked');
      throw new MustWait('approval');
    case 'decided':
      tellApproval({ approved: asked.decision.approved, owner, userId: asked.decision.by.userId });
      if (!asked.decision.approved) throw new CallError('approval_denied', denial(asked.decision));
      return;
    case 'expired':
      refuseIfOver(deadlineAt, worker);
      throw new CallError('approval_expired');
    case 'settled':
      throw new AlreadySettled(asked.outcome);
  }
}

function refuseIfOver(deadlineAt: number, { clock }: WorkerContext): void {
  if (clock.now() >= deadlineAt) throw new CallError('deadline_exceeded');
}

/** Once a person was asked, their word counts, whatever the predicate says now. */
async function wasAsked({ envelope, firstPickUp }: Attempt, { approvals }: WorkerContext): Promise<boolean> {
  if (firstPickUp && !envelope.takeover) return false;
  const before = await approvals.read(envelope.key);
  return before?.deadlineAt === envelope.deadlineAt;
}

/**
 * A predicate runs like a handler, under the same bounds. One that fails is a mistake of the tool: nothing starts, and
 * no fallback answers. Only a plain `false` lets a call through.
 */
async function isNeeded(attempt: Attempt, tool: Tool, args: unknown, worker: WorkerContext): Promise<boolean> {
  const { needsApproval } = tool;
  if (typeof needsApproval !== 'function') return true;
  const { principal, conversationId, deadlineAt } = attempt.envelope;
  try {
    const needed = await bounded(attempt, tool, worker, () =>
      needsApproval(args as never, { principal, conversationId }),
    );
    return needed !== false;
  } catch (error) {
    attempt.abort.signal.throwIfAborted();
    refuseIfOver(deadlineAt, worker);
    const { message } = classifyError(error);
    throw new CallError('tool_error', `Whether the call needs approval could not be told: ${message}`, {
      cause: error,
    });
  }
}

const denial = ({ by, why }: Decision): string =>
  why === undefined ? `${by.userId} denied this call.` : `${by.userId} denied this call: ${why}`;
