import { fileURLToPath } from 'node:url';
import { createDispatcher, scriptedModel, type Dispatcher, type Model } from '@callyard/dispatcher';
import { environmentWith, givenRedisUrl, loadConfig } from '@callyard/shared/config';
import { createLogger } from '@callyard/shared/log';
import { renderCalls, renderConversation, renderTrace, type PlayedScene } from './demo/report.ts';
import { scenes, scriptedLine, type Scene } from './demo/scenes.ts';
import { startLocalRedis } from './local-redis/index.ts';
import { modelFromEnvironment } from './models.ts';
import { startOtlpReceiver } from './otlp-receiver.ts';
import { startTracing } from './telemetry.ts';
import { startProcesses, stopProcesses } from './processes.ts';
import { withStarted } from './with-started.ts';

const log = (line: string) => console.log(line);

const main = new URL('./main.ts', import.meta.url);
const toolsFolder = fileURLToPath(new URL('../../../examples/tools', import.meta.url));

export interface DemoCommand {
  javascriptRedis?: boolean;
}

/** `callyard demo`: everything real but the model, and that too with OPENAI_API_KEY. */
export async function demoCommand({ javascriptRedis = false }: DemoCommand): Promise<void> {
  const config = loadConfig('dispatcher');
  await withStarted(async (atEnd) => {
    const redis = await startLocalRedis({
      url: givenRedisUrl(),
      allowJavaScript: true,
      log,
      ...(javascriptRedis ? { force: 'javascript' as const } : {}),
    });
    atEnd(() => redis.stop());
    const receiver = await startOtlpReceiver();
    atEnd(() => receiver.stop());
    const tracing = await startTracing('callyard-demo', { ...config, otlpEndpoint: receiver.endpoint });
    const own = { REDIS_URL: redis.url, OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint, CALLYARD_METRICS_PORT: '0' };
    const env = environmentWith(own);
    const workers = await startProcesses(2, { script: main, args: ['worker', '--tools', toolsFolder], env });
    atEnd(() => stopProcesses(workers));
    log(`Workers: ${workers.map(({ id }) => id).join(', ')}\n`);
    const quiet = createLogger({ name: 'demo', level: 'silent' });
    const dispatcher = await createDispatcher({ ...config, redisUrl: redis.url, log: quiet });
    atEnd(() => dispatcher.close());
    const played = await playAll(dispatcher);
    await stopProcesses(workers);
    await tracing.shutdown();
    log(`${renderCalls(played)}\n\n${renderTrace(played, receiver.spans)}`);
  });
}

async function playAll(dispatcher: Dispatcher): Promise<PlayedScene[]> {
  const real = modelFromEnvironment();
  log(real ? `Model: ${real.name}\n` : 'Model: scripted (set OPENAI_API_KEY to ask a real one)\n');
  const played: PlayedScene[] = [];
  for (const scene of scenes) {
    const one = await play(scene, dispatcher, real ?? scriptedModel(scriptedLine(scene)));
    log(`${renderConversation(one)}\n`);
    played.push(one);
  }
  return played;
}

async function play(scene: Scene, dispatcher: Dispatcher, model: Model): Promise<PlayedScene> {
  const { principal, question, tools } = scene;
  const startedAt = performance.now();
  const result = await dispatcher.run({
    messages: [{ role: 'user', content: question }],
    principal,
    model,
    conversationId: `demo-${principal.userId}`,
    ...(tools === undefined ? {} : { tools }),
  });
  if (result.state !== 'completed') log(`   the run ended as ${result.state}: ${result.error}`);
  return { scene, result, elapsedMs: performance.now() - startedAt };
}
