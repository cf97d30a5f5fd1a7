import { UsageError } from './usage-error.ts';
import { renderCall, renderGone, renderRunCalls, renderUnreadable } from './why-page.ts';
import { withDispatcher } from './with-dispatcher.ts';

export interface WhyCommand {
  content?: boolean;
  json?: boolean;
}

/** `callyard why KEY`: the life of one call, or the calls of a run. Exits with 1 where nothing is known of it. */
export function whyCommand(key: string, { content = false, json }: WhyCommand): Promise<void> {
  return withDispatcher('callyard-why', async (dispatcher, { traceUrl }) => {
    const why = await dispatcher.why(key.trim(), { content });
    if (why.kind === 'malformed') {
      const meant = why.nearest === undefined ? '' : ` Did you mean ${why.nearest}?`;
      throw new UsageError(`${JSON.stringify(key)} is no key: a call's is RUN.TURN.INDEX, such as ${example}.${meant}`);
    }
    if (why.kind === 'gone') process.exitCode = 1;
    if (json) return console.log(JSON.stringify(why));
    if (why.kind === 'gone') return console.log(renderGone(why));
    if (why.kind === 'unreadable') return console.log(renderUnreadable(why));
    console.log(why.kind === 'run' ? renderRunCalls(why, traceUrl) : renderCall(why, traceUrl));
  });
}

const example = 'b2c9a1c4-7a43-4f0e-9f3e-0c9d6f7f1a55.0.2';
