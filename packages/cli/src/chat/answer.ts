import type { Dispatcher, PrincipalInput, SubmitOptions } from '@callyard/dispatcher';
import { openApprovalDesk } from './approvals.ts';
import { eventsToTheEnd } from './run-events.ts';
import { Screen } from './screen.ts';
import type { Terminal } from './terminal.ts';

/** A run that nobody has taken up by then is said to wait. */
const unservedMs = 3_000;

/** What a cancelled run gets to end, and one past its deadline: then nobody drives it. */
const endMs = 5_000;

export interface Chat {
  dispatcher: Dispatcher;
  terminal: Terminal;
  principal: PrincipalInput;
  /** of each run */
  timeoutMs: number;
  /** what all runs have in common */
  runs: Pick<SubmitOptions, 'conversationId' | 'model' | 'tools'>;
  /** the person leaves, whatever is under way */
  leaving: AbortController;
}

/** Has a run answer a message, and shows it. Resolves with whether it completed. */
export async function answer(content: string, chat: Chat): Promise<boolean> {
  const { dispatcher, terminal, principal, timeoutMs } = chat;
  const { owner } = principal;
  const messages = [{ role: 'user', content } as const];
  const { runId } = await dispatcher.submit({ ...chat.runs, messages, principal, timeoutMs, events: true });
  const screen = new Screen(terminal);
  const desk = openApprovalDesk({ dispatcher, terminal, screen, principal });
  const patience = startPatience(runId, chat);
  try {
    for await (const event of eventsToTheEnd(dispatcher, runId, { owner, signal: patience.signal })) {
      if (event.type !== 'state' || event.state === 'running') patience.taken();
      screen.show(event);
      if (event.type === 'approval.needed') desk.ask(event);
      if (event.type === 'approval.decided' || event.type === 'call.finished') desk.takeBack(event.key);
      if (event.type === 'end') return event.state === 'completed';
    }
    return false;
  } catch (error) {
    if (!patience.signal.aborted) throw error;
    terminal.line(`${String(patience.signal.reason)} See: callyard run show ${runId} --owner ${owner}`);
    return false;
  } finally {
    desk.close();
    patience.end();
  }
}

/** When reading a run is given up. The first Ctrl-C cancels the run, the next leaves the chat. */
function startPatience(runId: string, { dispatcher, terminal, principal, timeoutMs, leaving }: Chat) {
  const { owner, userId } = principal;
  const over = new AbortController();
  const giveUp = (why: string) => over.abort(why);
  const unserved = setTimeout(
    () => terminal.line('  (not begun yet: another run of the conversation is under way, or no dispatcher serves it)'),
    unservedMs,
  );
  let last = setTimeout(giveUp, timeoutMs + endMs, 'The run has not ended by its deadline: nobody drives it.');
  const cancel = () => {
    terminal.line('  (cancelling; Ctrl-C again leaves)');
    clearTimeout(last);
    last = setTimeout(giveUp, endMs, 'Cancelled; the run ends when a dispatcher comes.');
    terminal.onInterrupt(() => leaving.abort());
    dispatcher
      .cancel(runId, { owner, by: userId, why: 'Ctrl-C in the chat' })
      .catch((error: unknown) => terminal.line(`  ${String(error)}`));
  };
  const leave = () => giveUp('The run goes on without you.');
  terminal.onInterrupt(cancel);
  leaving.signal.addEventListener('abort', leave, { once: true });
  return {
    signal: over.signal,
    taken: () => clearTimeout(unserved),
    end() {
      clearTimeout(unserved);
      clearTimeout(last);
      leaving.signal.removeEventListener('abort', leave);
    },
  };
}
