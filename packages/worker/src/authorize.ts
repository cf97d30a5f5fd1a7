import { CallError } from '@callyard/shared/failure';
import { missingRequirements } from '@callyard/shared/principal';
import type { Tool } from '@callyard/shared/tool';
import type { Attempt } from './attempt.ts';

/** Checks the principal against the tool's own `requires`: the dispatcher's choice of tools is not trusted. */
export function authorize({ envelope }: Attempt, { manifest }: Tool): void {
  const missing = missingRequirements(envelope.principal, manifest.policy.requires);
  if (missing.length === 0) return;
  throw new CallError('permission_denied', `The user may not call ${manifest.name}.`, { details: { missing } });
}
