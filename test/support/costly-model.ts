import type { AssistantMessage, Model } from '@callyard/dispatcher';
import { proposes, says, toolCall } from './setup.ts';

/** A model that says a line each time it is asked, always the same, and takes 40 tokens for it. */
export const costly = (line: AssistantMessage = says('Done.')): Model => ({
  name: 'costly',
  provider: 'scripted',
  ask: async () => ({
    message: line,
    stop: line.tool_calls ? 'calls' : 'answer',
    usage: { inputTokens: 30, outputTokens: 10 },
  }),
});

/** The same, with two calls. */
export const costlyCalls = (): Model =>
  costly(proposes(toolCall('act', { mode: 'ok' }), toolCall('act', { mode: 'ok' })));
