import type { Principal } from '@callyard/shared/principal';
import type { Envelope } from '@callyard/shared/call';
import type { LoopOptions } from '../loop.ts';
import type { Message, ToolChoice } from '../model.ts';
import type { ToolSelection } from '../offer.ts';
import type { RunBounds } from '../run-bounds.ts';

/** A selection of tools that can be written down: whoever goes on with the run must come to the same. */
export type WrittenSelection = Exclude<ToolSelection, (...args: never[]) => unknown>;

/** What was asked of a durable run, as its record keeps it beside the messages. */
export interface RunSpec {
  principal: Principal;
  class: Envelope['class'];
  /** the name of a model, of those a dispatcher was given */
  model: string;
  conversationId?: string;
  tools?: WrittenSelection;
  versions?: Readonly<Record<string, string>>;
  toolChoice?: ToolChoice;
  parallel?: boolean;
  mode: LoopOptions['mode'];
  bounds: RunBounds;
}

/** A message costs as much as its JSON. */
export const messageTexts = (messages: readonly Message[]): string[] =>
  messages.map((message) => JSON.stringify(message));
