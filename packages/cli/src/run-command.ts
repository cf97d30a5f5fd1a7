import { OfferError, RunError, type Dispatcher, type RunView } from '@callyard/dispatcher';
import { loadConfig } from '@callyard/shared/config';
import { renderRun } from './run-page.ts';
import { UsageError } from './usage-error.ts';
import { withDispatcher, type DispatcherUse } from './with-dispatcher.ts';

const sending: DispatcherUse = { sends: true };

interface OfOwner {
  owner: string;
  json?: boolean;
}

/** `callyard run show ID`: a durable run as it stands. */
export function runShowCommand(runId: string, { owner, json }: OfOwner): Promise<void> {
  return withRuns(async (dispatcher) => print(await dispatcher.show(runId, { owner }), json));
}

/** `callyard run cancel ID`: ends it, wherever it is driven; one that has ended stays as it ended. */
export function runCancelCommand(runId: string, { owner, by, why, json }: OfOwner & { by?: string; why?: string }) {
  return withRuns(async (dispatcher) => {
    const said = { ...(by === undefined ? {} : { by }), ...(why === undefined ? {} : { why }) };
    print(await dispatcher.cancel(runId, { owner, ...said }), json);
  }, sending);
}

export interface SubmitCommand extends OfOwner {
  user: string;
  permission?: string[];
  role?: string[];
  conversation?: string;
  model?: string;
  tools?: string[];
  key?: string;
  wait?: boolean;
}

/** `callyard run submit TEXT…`: takes a durable run in; dispatchers drive it. */
export function runSubmitCommand(texts: readonly string[], options: SubmitCommand): Promise<void> {
  const { owner, user: userId, role: roles = [], permission: permissions = [], json } = options;
  const { conversation: conversationId, model = loadConfig('model').model, tools, key } = options;
  return withRuns(async (dispatcher) => {
    const submitted = await dispatcher.submit({
      messages: [{ role: 'user', content: texts.join(' ') }],
      principal: { owner, userId, roles, permissions },
      model,
      ...(conversationId === undefined ? {} : { conversationId }),
      ...(tools === undefined ? {} : { tools }),
      ...(key === undefined ? {} : { key }),
    });
    if (!options.wait) return console.log(json ? JSON.stringify(submitted) : submitted.runId);
    const run = await dispatcher.wait(submitted.runId, { owner });
    if (run.state !== 'completed') process.exitCode = 1;
    print(run, json);
  }, sending);
}

function print(run: RunView, json: boolean | undefined): void {
  console.log(json ? JSON.stringify(run) : renderRun(run));
}

async function withRuns(work: (dispatcher: Dispatcher) => Promise<void>, use?: DispatcherUse): Promise<void> {
  try {
    await withDispatcher('callyard-run', work, use);
  } catch (error) {
    const isExpected = error instanceof RunError || error instanceof OfferError || error instanceof TypeError;
    throw isExpected ? new UsageError(error.message) : error;
  }
}
