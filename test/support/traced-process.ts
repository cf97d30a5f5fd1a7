/**
 * `node traced-process.ts ENDPOINT`: traces one question to a model as a process of ours does, which brings too much, counts
 * and logs something beside it as a library might, and ends by itself.
 */
import { logs, metrics, trace } from '@opentelemetry/api';
import { inChatSpan } from '@callyard/shared/telemetry';
import { startTelemetry } from '@callyard/shared/telemetry-start';

const telemetry = startTelemetry({ serviceName: 'traced', endpoint: process.argv[2] ?? '' });
const principal = { owner: 'acme', userId: 'mia', roles: [], permissions: [] };
const chat = { model: 'm', provider: 'scripted', conversationId: 'c1', runId: 'r1', principal };
metrics.getMeter('library').createCounter('library.calls').add(1);
logs.getLogger('library').emit({ body: 'called' });
await inChatSpan(chat, async (describe) => {
  for (let i = 0; i < 40; i += 1) trace.getActiveSpan()?.addEvent('called');
  describe({ id: 'x'.repeat(5_000), stop: 'answer', usage: { inputTokens: 12, outputTokens: 3 } });
});
await telemetry.shutdown();
