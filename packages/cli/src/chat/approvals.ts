import { ApprovalError, type Dispatcher, type PrincipalInput, type RunEvent } from '@callyard/dispatcher';
import type { Screen } from './screen.ts';
import type { Terminal } from './terminal.ts';

type Needed = Extract<RunEvent, { type: 'approval.needed' }>;

export interface ApprovalDesk {
  /** Asks when it is its turn, one question at a time; told again of the same call, it asks no more. */
  ask(needed: Needed): void;
  /** Somebody else decided, or the call has ended. */
  takeBack(key: string): void;
  close(): void;
}

export interface DeskParts {
  dispatcher: Dispatcher;
  terminal: Terminal;
  screen: Screen;
  principal: PrincipalInput;
}

/** Asks the person at the terminal to approve calls. Where the input has ended, nobody is there: they are denied. */
export function openApprovalDesk({ dispatcher, terminal, screen, principal }: DeskParts): ApprovalDesk {
  const questions = new Map<string, AbortController>();
  let turn: Promise<void> = Promise.resolve();

  const decide = async (needed: Needed, signal: AbortSignal): Promise<void> => {
    const said = await askUntilClear(needed, signal);
    if (signal.aborted) return;
    const { approved, why } = said ?? { approved: false, why: 'nobody was there to approve it' };
    const decision = { by: principal, ...(why === '' ? {} : { why }) };
    try {
      await dispatcher.approvals[approved ? 'approve' : 'deny'](needed.key, decision);
    } catch (error) {
      if (!(error instanceof ApprovalError || error instanceof TypeError)) throw error;
      terminal.line(`  ${error.message}`);
    }
  };
  const askUntilClear = async (needed: Needed, signal: AbortSignal) => {
    const question = `  approve ${screen.nameOf(needed)} ${screen.argumentsOf(needed.key)}? y or n, and why: `;
    for (;;) {
      const line = await terminal.ask(question, { signal, fresh: true });
      if (line === undefined) return undefined;
      const decision = readDecision(line);
      if (decision) return decision;
    }
  };

  return {
    ask(needed) {
      if (questions.has(needed.key)) return;
      const asked = new AbortController();
      questions.set(needed.key, asked);
      turn = turn
        .then(() => decide(needed, asked.signal))
        .catch((error: unknown) => terminal.line(`  ${String(error)}`));
    },
    takeBack: (key) => questions.get(key)?.abort(),
    close() {
      for (const asked of questions.values()) asked.abort();
    },
  };
}

/** `y`, `no`, `y, it is fine`: undefined for anything else. */
export function readDecision(line: string): { approved: boolean; why: string } | undefined {
  const [, word, why = ''] = /^\s*(y|yes|n|no)(?:[\s,:;.]+(.*))?$/i.exec(line) ?? [];
  if (word === undefined) return undefined;
  return { approved: word.toLowerCase().startsWith('y'), why: why.trim() };
}
