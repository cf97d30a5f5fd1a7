import type { Principal } from '@callyard/shared/principal';
import type { Prices } from '@callyard/shared/prices';
import { inChatSpan } from '@callyard/shared/telemetry';
import type { Model, ModelRequest, ModelResponse } from './model.ts';
import { measuredAsk } from './model-metrics.ts';

/** A response, and the context of the question: what is proposed in it is linked to that. */
export interface Asked {
  response: ModelResponse;
  chat: string | undefined;
}

/** Asks the model once, inside its `chat` span. */
export function askModel(
  request: ModelRequest,
  model: Model,
  principal: Principal,
  prices: Prices | undefined,
): Promise<Asked> {
  const { conversationId, runId } = request;
  const about = { model: model.name, provider: model.provider, conversationId, runId, principal };
  return inChatSpan(about, async (describe, chat) => {
    const response = await measuredAsk(request, model, prices).catch(noteThrown);
    describe(response);
    return { response, chat };
  });
}

const thrownByModels = new WeakSet();

function noteThrown(error: unknown): never {
  if (error instanceof Error) thrownByModels.add(error);
  throw error;
}

/** Whether the words of this error are a model's, which may repeat what it was asked. Ours are always errors. */
export const isThrownByModel = (error: unknown): boolean => !(error instanceof Error) || thrownByModels.has(error);
