import { parseArguments, validateArguments } from '@callyard/shared/arguments';
import type { Tool } from '@callyard/shared/tool';
import type { Attempt, WorkerContext } from './attempt.ts';

/** Turns the text the model wrote into arguments the handler can trust. */
export function validate({ envelope }: Attempt, { manifest }: Tool, { limits }: WorkerContext): unknown {
  const parsed = parseArguments(envelope.call.arguments, { maxBytes: limits.maxArgumentBytes });
  return validateArguments(manifest, parsed);
}
