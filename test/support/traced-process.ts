/** `node traced-process.ts ENDPOINT`: traces one question to a model as a process of ours does, and ends by itself. */
import { inChatSpan } from '@callyard/shared/telemetry';
import { startTelemetry } from '@callyard/shared/telemetry-start';

const telemetry = startTelemetry({ serviceName: 'traced', endpoint: process.argv[2] ?? '' });
const chat = { model: 'm', provider: 'scripted', conversationId: 'c1', runId: 'r1' };
await inChatSpan(chat, async (describe) => {
  describe({ stop: 'answer', usage: { inputTokens: 12, outputTokens: 3 } });
});
await telemetry.shutdown();
