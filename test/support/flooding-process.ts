/**
 * `node flooding-process.ts ENDPOINT`: makes spans faster than any collector takes them, and sends its parent the heap in
 * use, in bytes, once the queue of spans is full and after as many again, and how long its shutdown took.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { inChatSpan } from '@callyard/shared/telemetry';
import { startTelemetry } from '@callyard/shared/telemetry-start';

const telemetry = startTelemetry({ serviceName: 'flooding', endpoint: process.argv[2] ?? '' });
const principal = { owner: 'acme', userId: 'mia', roles: [], permissions: [] };
const chat = { model: 'm', provider: 'scripted', conversationId: 'c1', runId: 'r1', principal };

async function flood(spans: number): Promise<number> {
  for (let made = 0; made < spans; made += 100) {
    await Promise.all(Array.from({ length: 100 }, () => inChatSpan(chat, async () => {})));
    await turn(); // as a process that also serves
  }
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}

const full = await flood(20_000);
const later = await flood(20_000);
const asked = performance.now();
await telemetry.shutdown();
process.send?.({ full, later, tookMs: performance.now() - asked });
