import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { WorkerConfig } from '@callyard/shared/config';
import { inTime } from '@callyard/shared/in-time';
import type { Logger } from 'pino';

type Answer = (request: IncomingMessage, response: ServerResponse) => unknown;

export interface StatusOptions extends Pick<WorkerConfig, 'metricsPort' | 'metricsHost'> {
  /** answers `/metrics` */
  show: Answer;
  /** whether Redis answers, and the process is where others look for it */
  isReady(): Promise<boolean>;
  log: Logger;
}

export interface StatusServer {
  stop(): void;
}

/** A probe waits for no longer: a command to a Redis that is gone ends when it is back. */
const maxProbeMs = 1_000;

/**
 * Serves `/metrics`, `/healthz` (the process lives and its event loop turns) and `/readyz` (it can do its work). A port
 * that is taken stops no process: the second worker of a machine runs unseen, and says so.
 */
export async function startStatusServer({
  metricsPort,
  metricsHost,
  ...options
}: StatusOptions): Promise<StatusServer> {
  const { log } = options;
  const answers = answersOf(options);
  const server = createServer((request, response) => {
    // Anybody may ask, and whatever they ask is no reason to end a process that has work to do.
    answerTo(request, response, answers).catch((error: unknown) => {
      log.error({ event: 'status.failed', err: error }, 'a question for status could not be answered');
      if (response.headersSent) response.destroy();
      else say(500, 'failed')(request, response);
    });
  });
  try {
    await once(server.listen(metricsPort, metricsHost), 'listening');
  } catch (error) {
    log.warn(
      { event: 'status.unserved', err: error, port: metricsPort },
      'no metrics are shown; CALLYARD_METRICS_PORT sets another port, or 0 for none',
    );
    return { stop() {} };
  }
  return {
    stop() {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function answerTo(
  request: IncomingMessage,
  response: ServerResponse,
  answers: Readonly<Record<string, Answer>>,
): Promise<void> {
  const path = URL.parse(request.url ?? '', 'http://status')?.pathname;
  const answer = path === undefined ? undefined : answers[path];
  await (answer ?? say(404, 'not found'))(request, response);
}

const answersOf = ({ show, isReady }: Pick<StatusOptions, 'show' | 'isReady'>): Record<string, Answer> => ({
  '/metrics': show,
  '/healthz': say(200, 'ok'),
  '/readyz': async (request, response) => {
    const why = await notReady(isReady);
    say(why === undefined ? 200 : 503, why ?? 'ready')(request, response);
  },
});

/** Redis's own words may name its address, which is nobody's business here. */
async function notReady(isReady: () => Promise<boolean>): Promise<string | undefined> {
  try {
    return (await inTime(maxProbeMs, isReady())) ? undefined : 'not in the catalog';
  } catch {
    return 'Redis does not answer';
  }
}

const say =
  (status: number, text: string): Answer =>
  (_request, response) =>
    response.writeHead(status, { 'content-type': 'text/plain' }).end(`${text}\n`);
