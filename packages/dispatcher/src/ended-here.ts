import type { Envelope, OutcomeError } from '@callyard/shared/call';
import { failures } from '@callyard/shared/failure';
import type { LiveTools } from './live-tools.ts';
import { RunOver } from './run-over.ts';

/* Why a dispatcher ends a call by itself, as its outcome says. */

export function runIsOver({ reason }: AbortSignal): OutcomeError {
  const code = reason instanceof RunOver ? reason.code : 'cancelled';
  return { code, message: failures[code].forModel };
}

export const unserved = ({ tool }: Envelope, live: LiveTools): OutcomeError => ({
  code: 'tool_unavailable',
  message: live.find(tool.name)
    ? `No worker serves ${tool.name} in a version that satisfies ${tool.range} any more.`
    : `No worker serves ${tool.name} any more.`,
});

export const forgotten: OutcomeError = {
  code: 'lost',
  message: 'Redis was restarted without what it had: whether the tool has run is not known.',
};

export const notReached = (failedCall = ''): OutcomeError => ({
  code: 'cancelled',
  message: `Not run: ${failedCall} before it did not complete.`,
});
