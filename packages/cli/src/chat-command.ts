import { randomUUID } from 'node:crypto';
import { OfferError, RunError } from '@callyard/dispatcher';
import { loadConfig } from '@callyard/shared/config';
import { answer, type Chat } from './chat/answer.ts';
import { Terminal } from './chat/terminal.ts';
import { loadModels } from './models.ts';
import { withDispatcher } from './with-dispatcher.ts';

export interface ChatCommand {
  owner: string;
  user: string;
  permission?: string[];
  role?: string[];
  conversation?: string;
  tools?: string[];
  model?: string;
  modelModule?: string;
}

/** `callyard chat`: a conversation in the terminal, a durable run for each message. */
export async function chatCommand(options: ChatCommand): Promise<void> {
  const { owner, user: userId, role: roles = [], permission: permissions = [], tools } = options;
  const { conversation: conversationId = randomUUID() } = options;
  const models = await loadModels(options.modelModule);
  const model = options.model ?? models[0]?.name ?? loadConfig('model').model;
  const served = models.some(({ name }) => name === model) ? 'asked from here' : 'asked by whoever serves it';
  await withDispatcher(
    'callyard-chat',
    async (dispatcher, { runTimeoutMs: timeoutMs }) => {
      const terminal = new Terminal();
      const leaving = new AbortController();
      const leave = () => leaving.abort();
      process.once('SIGTERM', leave).once('SIGHUP', leave);
      const principal = { owner, userId, roles, permissions };
      const runs = { conversationId, model, ...(tools === undefined ? {} : { tools }) };
      terminal.line(`Conversation ${conversationId}, model ${model} (${served})`);
      if (terminal.isInteractive) terminal.line('Ctrl-C cancels a run; /quit, or Ctrl-C at the prompt, leaves.');
      const allCompleted = await talk({ dispatcher, terminal, principal, timeoutMs, runs, leaving });
      if (terminal.isInteractive) terminal.line(`Go on with: callyard chat --conversation ${conversationId}`);
      else if (!allCompleted) process.exitCode = 1;
      terminal.close();
    },
    { sends: true, models },
  );
}

/** Until the input ends or the person leaves. Resolves with whether every run completed. */
async function talk(chat: Chat): Promise<boolean> {
  const { terminal, leaving } = chat;
  let allCompleted = true;
  while (!leaving.signal.aborted) {
    terminal.onInterrupt(() => leaving.abort());
    const line = (await terminal.ask('> ', { signal: leaving.signal }))?.trim();
    if (line === undefined || line === '/quit') break;
    if (line !== '') allCompleted = (await answerOrSay(line, chat)) && allCompleted;
  }
  return allCompleted;
}

/** What one message cannot have, the next may. */
async function answerOrSay(line: string, chat: Chat): Promise<boolean> {
  try {
    return await answer(line, chat);
  } catch (error) {
    if (!(error instanceof RunError || error instanceof OfferError)) throw error;
    chat.terminal.line(`callyard: ${error.message}`);
    return false;
  }
}
